"""Running out of memory inside a run: one message and `oom_report.json`, however TensorFlow words it."""

import json
import re

import pytest
import tensorflow as tf

from distribute import Devices
from distribute.allocator_dump import LiveAllocation
from distribute.memory_check.child_process import Outcome
from distribute.memory_plan import MemoryPlan
from train import out_of_memory
from train.errors import MachineError
from train.machine_checks.nvidia import GpuFacts, GpuProcess, NvidiaFacts
from train.memory_need import MemoryNeed, find_need
from train.out_of_memory import ProcessOutOfMemoryError, explain_out_of_memory, read_exhaustion
from train.output import Output
from train.record import leave_report
from train.run_folder import open_run_folder

OOM = (
    "OOM when allocating tensor with shape[256,32,26,26] and type float on "
    "/job:localhost/replica:0/task:0/device:GPU:1 by allocator GPU_1_bfc"
)
DISGUISES = [
    (tf.errors.ResourceExhaustedError, OOM, "out of GPU memory"),
    (tf.errors.InternalError, "Blas xGEMM launch failed : a.shape=[1,64,576], b.shape=[1,576,64], m=64", "cuBLAS"),
    (
        tf.errors.UnknownError,
        "Failed to get convolution algorithm. This is probably because cuDNN failed to initialize, "
        "so try looking to see if a warning log message was printed above.",
        "cuDNN",
    ),
    (tf.errors.NotFoundError, "No algorithm worked!", "workspace"),
    (
        tf.errors.InternalError,
        "Failed copying input tensor from /job:localhost/replica:0/task:0/device:CPU:0 to "
        "/job:localhost/replica:0/task:0/device:GPU:0 in order to run _EagerConst: Dst tensor is not initialized.",
        "copied",
    ),
]
PLAN = MemoryPlan(
    num_replicas=2,
    rows=64,
    parameters_mib=0.36,
    gradients_mib=0.36,
    optimizer_mib=0.72,
    activations_mib=8.0,
    temporaries_mib=54.0,
    other_mib=0.5,
    peak_mib=63.9,
    largest=[LiveAllocation(32 * 2**20, 1, "conv/Conv2D, temp")],
    limits_mib=[52, 52, 52],
    extrapolated_mib=52,
    small_rows=(8, 16),
    limit_mib=58,
)


def run_that_raises(error, folder):
    def run(recording):
        raise error

    return leave_report(open_run_folder(str(folder), resume=False), run, Output())


class TestOutOfMemory:
    @pytest.mark.parametrize(("kind", "text", "words"), DISGUISES)
    def test_every_disguise_is_exit_3_with_one_message(self, tmp_path, kind, text, words):
        with pytest.raises(MachineError, match="out of GPU memory") as caught:
            run_that_raises(kind(None, None, text), tmp_path)
        assert words in str(caught.value)
        assert "train/plan.py" in str(caught.value)
        assert len(str(caught.value).splitlines()) <= 4
        report = json.loads((tmp_path / "oom_report.json").read_text())
        assert text in report["error"]
        assert report["explained"]["remedies"]
        assert json.loads((tmp_path / "report.json").read_text())["ok"] is False

    def test_the_allocators_figures_are_told(self, tmp_path):
        figures = r"wanted 21\.12 MiB for a tensor of shape \[256, 32, 26, 26\], float; on GPU:1"
        with pytest.raises(MachineError, match=figures):
            run_that_raises(tf.errors.ResourceExhaustedError(None, None, OOM), tmp_path)
        allocator = json.loads((tmp_path / "oom_report.json").read_text())["allocator"]
        assert (allocator["device"], allocator["wanted_bytes"]) == ("GPU:1", 256 * 32 * 26 * 26 * 4)

    def test_who_else_holds_memory_is_told(self, tmp_path, monkeypatch):
        gpu = GpuFacts(0, "GPU", total_mib=2048, free_mib=100, processes=(GpuProcess(7, 1500, "python"),))
        monkeypatch.setattr(out_of_memory, "read_nvidia", lambda: NvidiaFacts(gpus=(gpu,)))
        with pytest.raises(MachineError, match="100 MiB of 2048 MiB free; other processes: 7 python 1500 MiB"):
            run_that_raises(tf.errors.ResourceExhaustedError(None, None, OOM), tmp_path)

    def test_what_the_allocator_of_another_process_logged_is_told(self, tmp_path):
        log = (
            "W0000 bfc_allocator.cc:512] Allocator (bfc_cpu_allocator_for_gpu) ran out of memory trying to allocate "
            "21.12MiB (rounded to 22151168)requested by op conv/Conv2D\n"
            "I0000 bfc_allocator.cc:1080] Free  at 7f0000 of size 1048576 next 18446744073709551615\n"
        )
        outcome = Outcome(None, "training", ("ResourceExhaustedError",), OOM, "raised", "traceback", log)
        error = ProcessOutOfMemoryError("replica 1 ran out of memory in training", outcome)
        words = (
            r"replica 1 ran out of memory in training: wanted 21\.12 MiB .* by conv/Conv2D; .*largest free piece 1 MiB"
        )
        with pytest.raises(MachineError, match=words):
            run_that_raises(error, tmp_path)

    @pytest.mark.parametrize(
        ("fitting", "limit_mib", "words"),
        [
            (3, 20, "try: --memory_limit=58, or --global_batch_size=6 under this one, planned on a CPU"),
            (0, 20, "under this limit not even one example on each replica fits"),
            (64, 80, "look for what else takes memory.* needs no more than --memory_limit=58, planned on a CPU"),
            (None, None, "try: --memory_limit=58, planned on a CPU for the step alone: cached input and sums over"),
        ],
    )
    def test_a_plan_gives_figures_and_holders(self, tmp_path, fitting, limit_mib, words):
        need = MemoryNeed(PLAN, fitting)
        exhaustion = read_exhaustion(tf.errors.ResourceExhaustedError(None, None, OOM))
        folder = open_run_folder(str(tmp_path), resume=False)
        text = str(explain_out_of_memory(exhaustion, None, folder, lambda: need))
        assert re.search(words, text)
        assert "a step of 64 examples holds 63.9 MiB without a limit, on a CPU: parameters 0.4" in text
        assert "its largest pieces: 32 MiB (conv/Conv2D, temp)" in text
        plan = json.loads((tmp_path / "oom_report.json").read_text())["plan"]
        assert (plan["limit_mib"], plan["fitting_rows"]) == (58, fitting)

    def test_on_a_gpu_the_plan_is_told_to_be_a_part(self, tmp_path):
        # As an H200 said it under 8 MiB; 39 MiB were too little there, 52 enough, and the plan said 13.
        text = (
            "Graph execution error:\n\nDetected at node conv/Relu defined at (most recent call last):\n<stack>\n"
            "2 root error(s) found.\n  (0) NOT_FOUND:  No algorithm worked!  Error messages:\n"
            "  Profiling failure on CUDNN engine eng11{}: RESOURCE_EXHAUSTED: Out of memory while trying to allocate "
            "16.00MiB.\n  (1) CANCELLED: the other one"
        )
        exhaustion = read_exhaustion(tf.errors.NotFoundError(None, None, text))
        assert "NOT_FOUND:  No algorithm worked!" in exhaustion.headline
        devices = Devices("gpu", ("GPU:0", "GPU:1"), "virtual", "limit", 39, "TensorFlow's allocator", "")
        folder = open_run_folder(str(tmp_path), resume=False)
        told = str(explain_out_of_memory(exhaustion, devices, folder, lambda: MemoryNeed(PLAN, 64)))
        assert "try: --memory_limit=116, or a smaller --global_batch_size" in told
        assert "the step's own tensors need 58 MiB, planned on a CPU, and cuDNN's work space comes on top" in told

    def test_a_plan_that_cannot_be_made_hides_nothing(self, tmp_path):
        def not_there():
            raise OSError("no data")

        need = find_need(not_there, num_replicas=2, limit_mib=20)
        exhaustion = read_exhaustion(tf.errors.ResourceExhaustedError(None, None, OOM))
        folder = open_run_folder(str(tmp_path), resume=False)
        text = str(explain_out_of_memory(exhaustion, None, folder, lambda: need))
        assert "no plan of what it needs: OSError: no data" in text
        assert "wanted 21.12 MiB" in text

    @pytest.mark.parametrize(
        "error",
        [
            tf.errors.InternalError(None, None, "CUBLAS_STATUS_EXECUTION_FAILED"),
            tf.errors.InvalidArgumentError(None, None, "Matrix size-incompatible: In[0]: [1,64], In[1]: [65,1]"),
            KeyError("memory"),
        ],
    )
    def test_other_errors_are_left_as_they_are(self, tmp_path, error):
        with pytest.raises(type(error)) as caught:
            run_that_raises(error, tmp_path)
        assert caught.value is error
        assert not (tmp_path / "oom_report.json").exists()
