"""`check_memory`: does each replica stay within its limit, and below what a single device needs?

On CPU two child processes run side by side, both under the BFC allocator that guards a GPU: one replica's
share under the limit, and the single-device reference with the whole global batch and no cap. On a GPU
TensorFlow enforces the limit in this process, and it is measured here.
"""

import threading
from types import TracebackType

from .devices import Devices
from .memory_check.cpu import check_in_children
from .memory_check.gpu import check_here
from .memory_check.runs import Runs
from .report import Report
from .targets import Target, parse_target, resolve_build, resolve_data

_CHILD_TIMEOUT_S = 900.0


def check_memory(build: Target, data: Target, *, devices: Devices) -> Report:
    """Measures a program's memory on each replica and on a single device, and judges it.

    The report holds ``memory_bounds/limit`` (each replica's peak is within the limit),
    ``memory_bounds/reference`` (nor above the single-device peak at the same global batch plus the measured
    spread) and ``memory_bounds/growth`` (no growth over further steps), and in ``memory`` the figures, all in
    MiB. A limit that is too small is a failed check, whose detail and ``memory["advised_limit_mib"]`` name
    one under which the program was run.

    Args:
      build: importable target of a function without further arguments that returns a compiled `keras.Model`
        or a `Program`; the program's ``evaluate_step`` is held to the limit too. A target is
        ``"package.module:name"`` or ``("package.module:name", {keyword: JSON value})``.
      data: importable target of a list or a `tf.data.Dataset` of global batches, of a function without
        required parameters that returns one, or of a function of a `tf.distribute.InputContext`. The first
        batch is used.
      devices: what `split_device` returned. ``cpu``: the targets run in processes of their own, with this
        process's ``sys.path`` and working directory. ``gpu``: they run here.

    Raises:
      ValueError: a target that cannot be found or called.
      RuntimeError: ``build``, ``data`` or the step failed on a single device, for another reason than memory;
        the message has the child's traceback. A failure of a replica's share alone is the failed check
        ``execution/memory``.
    """
    return start_memory_check(build, data, devices=devices).result()


def start_memory_check(build: Target, data: Target, *, devices: Devices) -> "MemoryCheck":
    """Starts what `check_memory` does and returns at once, so that this process can do other work meanwhile.

    On a GPU there is one process and nothing to start: the measurement is taken when the result is asked for.

    Raises:
      ValueError: a target has not the form of one.
    """
    parse_target(build)
    parse_target(data)
    if devices.kind == "gpu":
        return _CheckHere(build, data, devices)
    return _CheckInChildren(build, data, devices)


class MemoryCheck:
    """A check of memory under way; as a context manager it ends its processes on leaving."""

    def result(self) -> Report:
        """Waits for the end of the check and returns its report; raises what `check_memory` raises."""
        raise NotImplementedError

    def close(self) -> None:
        """Ends the check and its processes where it still runs; there is no result then."""

    def __enter__(self) -> "MemoryCheck":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _CheckInChildren(MemoryCheck):
    def __init__(self, build: Target, data: Target, devices: Devices) -> None:
        self._devices = devices
        self._runs = Runs(build, data, len(devices.names), _CHILD_TIMEOUT_S)
        self._report: Report | None = None
        self._error: Exception | None = None
        # The thread starts the children and outlives them: on Linux a child dies with the thread that started
        # it.
        self._thread = threading.Thread(target=self._run, name="memory check", daemon=True)
        self._thread.start()

    def result(self) -> Report:
        self._thread.join()
        if self._report is None:
            raise self._error or RuntimeError("the memory check was closed before it had a result")
        return self._report

    def close(self) -> None:
        self._runs.close()
        self._thread.join()

    def _run(self) -> None:
        try:
            report = check_in_children(self._runs, self._devices.names, self._devices.memory_limit_mib)
            self._report = None if self._runs.closed else report
        except Exception as error:  # noqa: BLE001  raised in the thread that asks for the result
            self._error = None if self._runs.closed else error
        finally:
            self._runs.reap()


class _CheckHere(MemoryCheck):
    def __init__(self, build: Target, data: Target, devices: Devices) -> None:
        self._build, self._data, self._devices = build, data, devices

    def result(self) -> Report:
        build, load = resolve_build(self._build), resolve_data(self._data)
        return check_here(build, load(), self._devices)
