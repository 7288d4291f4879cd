"""One message, with its exit code, for the failure of one process out of several."""

import re
import signal

from distribute.allocator_dump import read_allocator_dump
from distribute.cluster import WorkerFailedError
from distribute.memory_check.child_process import Outcome
from distribute.out_of_memory import ended_out_of_memory
from train import errors
from train.out_of_memory import ProcessOutOfMemoryError
from train.stop_signals import Stopped

_OURS = {kind.__name__: kind for kind in (errors.InputError, errors.NonFiniteError, errors.MachineError)}
# On CPU a kernel whose allocation fails may crash instead of raising: oneDNN's do, after TensorFlow's log told of it.
_CRASHES = (signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGILL, signal.SIGFPE)

# How TensorFlow's log begins a line that is information or a warning.
_INFORMATION = re.compile(r"[IW]\d{4} |\d{4}-\d\d-\d\d [\d:.]+: [IW] ")


def explained(failure: WorkerFailedError, who: str, limit_mib: int | None) -> BaseException:
    """What to raise for a process that failed: its own error where it had a message for the user.

    Args:
      failure: which process, and how it ended.
      who: what that process was, such as ``replica 1``.
      limit_mib: the limit that it ran under, None without one.
    """
    outcome = failure.outcome
    kind = next((name for name in outcome.error_types if name in _OURS or name == "Stopped"), "")
    if failure.lost:
        return errors.MachineError(f"{who} does not answer any more, so all processes were ended; --resume goes on")
    if kind == "Stopped":
        return Stopped(int(outcome.text))
    if kind:
        return _OURS[kind](outcome.text)
    if ended_out_of_memory(outcome) or _crashed_out_of_memory(outcome):
        return ProcessOutOfMemoryError(f"{who} ran out of memory{_under(limit_mib)} in {outcome.phase}", outcome)
    if outcome.died:
        return errors.MachineError(_death(outcome, who, limit_mib))
    return failure


def _crashed_out_of_memory(outcome: Outcome) -> bool:
    return outcome.signal in _CRASHES and read_allocator_dump(outcome.log) is not None


def _death(outcome: Outcome, who: str, limit_mib: int | None) -> str:
    if outcome.signal in _CRASHES and limit_mib is not None:
        return (
            f"{who} {outcome.message}{_under(limit_mib)}, which on a CPU can be how a kernel runs out of memory: use "
            "more --memory_limit; if it dies without one too, it is the program's own fault"
        )
    killed = outcome.signal == signal.SIGKILL  # which leaves no time for last words
    reason = ", as the system does to a process when memory is short" if killed else _last_words(outcome)
    return f"{who} {outcome.message}{reason}; all other processes were ended; --resume goes on"


def _under(limit_mib: int | None) -> str:
    return f" under its limit of {limit_mib} MiB" if limit_mib is not None else ""


def _last_words(outcome: Outcome) -> str:
    lines = [line for line in outcome.report.splitlines() if line.strip() and not _INFORMATION.match(line)]
    return f": {lines[-1]}" if lines else ""
