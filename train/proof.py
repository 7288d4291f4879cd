"""Proof of any program, a recipe's or the user's own: gradients and memory against a single device, side by side.

The memory check runs in processes of its own, so it is started first and measures while gradients are compared here.
"""

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from distribute import DeviceError, Devices, MemoryCheck, Report, first_rows, start_memory_check, verify
from distribute.causes import CAUSES
from distribute.targets import Target
from train.errors import InputError, MachineError
from train.stop_signals import raise_if_stopped


@dataclasses.dataclass(frozen=True)
class Provable:
    """What is verified, once for this process and once as another process finds it.

    Attributes:
      build: as `verify` takes it.
      data: as `verify` takes it.
      build_target: the same program for `check_memory`.
      data_target: data of the same shapes for `check_memory`.
    """

    build: Callable[[], Any]
    data: Any
    build_target: Target
    data_target: Target


def require_known_causes(accept: Sequence[str]) -> None:
    """Refuses a name in ``--accept`` that is no cause.

    Raises:
      InputError: an unknown name.
    """
    unknown = sorted(set(accept) - set(CAUSES))
    if unknown:
        raise InputError(f"--accept={','.join(unknown)}: unknown; causes are {', '.join(CAUSES)}")


def prove(
    provable: Provable,
    devices: Devices,
    *,
    mode: str,
    accept: Sequence[str],
    shrink: bool = True,
    steps: int = 1,
    num_rows: int | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> Report:
    """Verifies what `mode` says: ``all``, ``gradients``, ``memory`` or ``off``; joins what was found.

    Args:
      provable: the program and its data.
      devices: those of the replicas.
      mode: what to verify.
      accept: as `verify` takes it.
      shrink: as `verify` takes it.
      steps: as `verify` takes them.
      num_rows: how many examples of the first batch to compare; None for all data. Memory is measured with all.
      on_progress: as `verify` takes it.

    Raises:
      InputError: the first batch has no so many examples.
      MachineError: the verification does not fit in memory.
      Exception: what `verify` and `check_memory` raise.
    """
    report = Report()
    with _memory_check(provable, devices, mode) as memory:
        if mode in ("all", "gradients"):
            data = provable.data if num_rows is None else _first_rows(provable.data, num_rows)
            options: dict[str, Any] = {"steps": steps, "accept": accept, "shrink": shrink, "on_progress": on_progress}
            try:
                report = verify(provable.build, data, devices=devices, **options)
            except DeviceError as error:
                raise MachineError(f"--verify={mode}: {error}") from error
            raise_if_stopped()
        return report.merge(memory.result()) if memory else report


def _first_rows(data: Any, num_rows: int) -> Any:
    try:
        return first_rows(data, num_rows)
    except ValueError as error:
        raise InputError(f"--first_rows={num_rows}: {error}") from error


@contextlib.contextmanager
def _memory_check(provable: Provable, devices: Devices, mode: str) -> Iterator[MemoryCheck | None]:
    if mode not in ("all", "memory"):
        yield None
        return
    with start_memory_check(provable.build_target, provable.data_target, devices=devices) as check:
        yield check


def describe_enforcement(devices: Devices, report: Report) -> Devices:
    """`devices` with what the memory check did for a limit that TensorFlow cannot enforce on CPU."""
    if devices.kind == "gpu" or devices.memory_limit_mib is None or not report.memory:
        return devices
    enforced_by = (
        "the memory check, which ran one replica's share under it in a process of its own; nothing in training"
    )
    return dataclasses.replace(devices, limit_enforced_by=enforced_by)


def exit_code_of(report: Report) -> int:
    """0 when nothing failed, 3 when only a memory limit did not suffice, 2 for every other failed check."""
    if report.ok:
        return 0
    return 3 if all(check.name.startswith("memory_bounds/limit") for check in report.failures) else 2
