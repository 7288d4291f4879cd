import signal

import pytest

from distribute.cluster import WorkerFailedError
from distribute.memory_check.child_process import Outcome
from train.errors import InputError, MachineError, NonFiniteError
from train.out_of_memory import ProcessOutOfMemoryError, read_exhaustion
from train.stop_signals import Stopped
from train.worker_failure import explained


def raised(kind, text, *bases):
    types = (kind, *bases, "Exception", "BaseException", "object")
    return Outcome(None, "training", types, text, f"raised {kind} in training: {text}", "the traceback")


def died(number, report="", log=""):
    name = signal.Signals(number).name
    return Outcome(phase="training", message=f"died of {name} in training", report=report, log=log, signal=number)


class TestExplained:
    @pytest.mark.parametrize("kind", [InputError, NonFiniteError, MachineError])
    def test_a_message_for_the_user_stays_what_it_is(self, kind):
        error = explained(WorkerFailedError(1, raised(kind.__name__, "asked, found, do")), "replica 1", 20)
        assert type(error) is kind
        assert str(error) == "asked, found, do"

    def test_so_does_a_kind_of_one(self):
        error = explained(WorkerFailedError(1, raised("FlagError", "asked", "InputError")), "replica 1", 20)
        assert type(error) is InputError

    def test_a_stop_is_a_stop(self):
        error = explained(WorkerFailedError(0, raised("Stopped", "15", "KeyboardInterrupt")), "replica 0", None)
        assert isinstance(error, Stopped)
        assert error.exit_code == 143

    @pytest.mark.parametrize("kind", ["ResourceExhaustedError", "MemoryError"])
    def test_out_of_memory_names_replica_and_limit(self, kind):
        error = explained(WorkerFailedError(2, raised(kind, "OOM when allocating\nmore")), "replica 2", 20)
        assert isinstance(error, ProcessOutOfMemoryError)
        assert error.what == "replica 2 ran out of memory under its limit of 20 MiB in training"
        error = explained(WorkerFailedError(2, raised(kind, "OOM")), "the process that verifies", None)
        assert error.what == "the process that verifies ran out of memory in training"

    def test_so_does_what_a_library_says_that_gets_no_memory(self):
        failure = WorkerFailedError(
            0, raised("InternalError", "failed to create cublas handle: CUBLAS_STATUS_ALLOC_FAILED")
        )
        assert isinstance(explained(failure, "replica 0", 20), ProcessOutOfMemoryError)

    def test_a_crash_under_a_limit_may_be_lack_of_memory(self):
        error = explained(WorkerFailedError(2, died(signal.SIGSEGV)), "replica 2", 20)
        assert isinstance(error, MachineError)
        assert "replica 2 died of SIGSEGV in training under its limit of 20 MiB" in str(error)
        assert "--memory_limit" in str(error)

    def test_a_crash_after_an_allocation_that_failed_is_lack_of_memory(self):
        log = (
            "W0000 00:00:1795740434.793445   12794 op_kernel.cc:1858] OP_REQUIRES failed at mkl_util.h:848 : "
            "RESOURCE_EXHAUSTED: OOM when allocating tensor with shape[16,26,26,32] and type float on "
            "/job:worker/replica:0/task:2/device:CPU:0 by allocator bfc_cpu_allocator_for_gpu"
        )
        error = explained(WorkerFailedError(2, died(signal.SIGSEGV, log=log)), "replica 2", 8)
        assert isinstance(error, ProcessOutOfMemoryError)
        exhaustion = read_exhaustion(error)
        assert exhaustion.headline.startswith("replica 2 ran out of memory under its limit of 8 MiB in training: ")
        assert "a tensor of shape [16, 26, 26, 32]" in exhaustion.headline
        assert exhaustion.error == "died of SIGSEGV in training"
        assert exhaustion.explained.remedies
        killed = explained(WorkerFailedError(2, died(signal.SIGKILL, log=log)), "replica 2", 8)
        assert "as the system does" in str(killed)

    def test_other_deaths_come_with_the_last_line_of_output(self):
        said = "first\nlast words\nI0000 00:00:1795.1 12 rendezvous.cc:407] information\n"
        error = explained(WorkerFailedError(2, died(signal.SIGABRT, said)), "replica 2", None)
        assert isinstance(error, MachineError)
        assert str(error).startswith("replica 2 died of SIGABRT in training: last words; ")
        error = explained(WorkerFailedError(2, died(signal.SIGKILL)), "replica 2", 20)
        assert "when memory is short" in str(error)

    def test_silence(self):
        error = explained(WorkerFailedError(3, raised("UnavailableError", "gone"), lost="worker"), "replica 3", 20)
        assert isinstance(error, MachineError)
        assert str(error).startswith("replica 3 does not answer any more")

    def test_what_nobody_foresaw_comes_with_its_traceback(self):
        failure = WorkerFailedError(1, raised("KeyError", "'width'"))
        assert explained(failure, "replica 1", 20) is failure
        assert "the traceback" in str(failure)
