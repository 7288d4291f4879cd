"""One message, with its exit code, for the failure of one process out of several."""

import signal

from distribute.cluster import WorkerFailedError
from distribute.memory_check.child_process import Outcome
from distribute.memory_check.runs import is_out_of_memory
from train import errors
from train.messages import first_line
from train.stop_signals import Stopped

_OURS = {kind.__name__: kind for kind in (errors.InputError, errors.NonFiniteError, errors.MachineError)}
# On CPU a kernel whose allocation fails may crash instead of raising.
_CRASHES = (signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGILL, signal.SIGFPE)


def explained(failure: WorkerFailedError, who: str, limit_mib: int | None) -> BaseException:
    """What to raise for a process that failed: its own error where it had a message for the user.

    Args:
      failure: which process, and how it ended.
      who: what that process was: ``replica``, whose number is added, or something of which there is one.
      limit_mib: the limit that it ran under, None without one.
    """
    outcome = failure.outcome
    if who == "replica":
        who = f"replica {failure.index}"
    kind = next((name for name in outcome.error_types if name in _OURS or name == "Stopped"), "")
    if failure.lost:
        return errors.MachineError(f"{who} does not answer any more, so all processes were ended; --resume goes on")
    if kind == "Stopped":
        return Stopped(int(outcome.text))
    if kind:
        return _OURS[kind](outcome.text)
    if is_out_of_memory(outcome):
        return errors.MachineError(f"{who} ran out of memory{_under(limit_mib)}{_in(outcome)}: {_advice(outcome)}")
    if outcome.died:
        return errors.MachineError(_death(outcome, who, limit_mib))
    return failure


def _advice(outcome: Outcome) -> str:
    return f"{first_line(outcome.text)}; use more --memory_limit or a smaller --global_batch_size"


def _death(outcome: Outcome, who: str, limit_mib: int | None) -> str:
    if outcome.signal in _CRASHES and limit_mib is not None:
        return (
            f"{who} {outcome.message}{_under(limit_mib)}, which on a CPU can be how a kernel runs out of memory: use "
            "more --memory_limit; if it dies without one too, it is the program's own fault"
        )
    reason = ", as the system does to a process when memory is short" if outcome.signal == signal.SIGKILL else ""
    last = f": {outcome.report.splitlines()[-1]}" if outcome.report else ""
    return f"{who} {outcome.message}{reason}{last}; all other processes were ended; --resume goes on"


def _under(limit_mib: int | None) -> str:
    return f" under its limit of {limit_mib} MiB" if limit_mib is not None else ""


def _in(outcome: Outcome) -> str:
    return f" in {outcome.phase}" if outcome.phase else ""
