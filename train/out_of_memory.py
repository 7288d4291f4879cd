"""One message for a run that is out of memory, however TensorFlow words it, and all of it as ``oom_report.json``."""

import dataclasses
import os
from collections.abc import Iterator, Sequence
from typing import Any

from distribute import Devices
from distribute.allocator_dump import AllocatorDump, read_allocator_dump
from distribute.log_explanation import Explained
from distribute.out_of_memory import explained_as_memory
from train.errors import MachineError
from train.machine_checks.nvidia import GpuFacts, read_nvidia
from train.messages import first_line
from train.run_folder import RunFolder


def explain_out_of_memory(error: BaseException, devices: Devices | None, folder: RunFolder) -> MachineError:
    """The error to raise instead; writes ``oom_report.json`` into the folder of the run.

    Args:
      error: for which `is_out_of_memory` holds.
      devices: what the run was made on, None where it had not come so far.
      folder: of the run.
    """
    explained, dump = explained_as_memory(error), read_allocator_dump(str(error))
    gpus = read_nvidia().gpus
    report = _record(error, explained, dump, devices, gpus)
    path = folder.write_record("oom_report.json", report)
    lines = [_what(error, explained, dump), *_policy(devices), *_others(gpus), _remedy(explained, devices)]
    return MachineError("\n  ".join([*lines, f"all of it: {path}; the raw error: --debug"]))


def _what(error: BaseException, explained: Explained | None, dump: AllocatorDump | None) -> str:
    what = explained.what if explained else "out of memory"
    return f"{what}: {dump or first_line(error)}"


def _policy(devices: Devices | None) -> Iterator[str]:
    if devices is not None:
        limit = f"--memory_limit={devices.memory_limit_mib}" if devices.memory_limit_mib else "no limit"
        yield f"in force: memory policy {devices.policy}, {limit}, {len(devices.names)} replicas on {devices.kind}"


def _others(gpus: Sequence[GpuFacts]) -> Iterator[str]:
    """Who else holds memory, by NVML; nothing without a GPU."""
    for gpu in gpus:
        others = [process for process in gpu.processes if process.pid != os.getpid()]
        held = ", ".join(f"{one.pid} {one.name or '(name not visible)'} {_mib(one.mib)}" for one in others)
        yield f"GPU {gpu.index}: {_mib(gpu.free_mib)} of {_mib(gpu.total_mib)} free; other processes: {held or 'none'}"


def _mib(mib: int | None) -> str:
    return "? MiB" if mib is None else f"{mib} MiB"


def _remedy(explained: Explained | None, devices: Devices | None) -> str:
    replicas = f"--virtual_gpus={len(devices.names)} " if devices else ""
    limit = (
        f"--memory_limit={devices.memory_limit_mib}" if devices and devices.memory_limit_mib else "--memory_limit=MiB"
    )
    plan = f"python train/plan.py {replicas}{limit} says which --global_batch_size fits, and which limit this one needs"
    return "; or ".join(["try: " + plan, *(explained.remedies[:2] if explained else ())])


def _record(
    error: BaseException,
    explained: Explained | None,
    dump: AllocatorDump | None,
    devices: Devices | None,
    gpus: Sequence[GpuFacts],
) -> dict[str, Any]:
    return {
        "error": f"{type(error).__name__}: {error}",
        "explained": dataclasses.asdict(explained) if explained else {},
        "allocator": dataclasses.asdict(dump) if dump else {},
        "devices": devices.to_dict() if devices else {},
        "memory_policy": devices.policy if devices else None,
        "gpus": [dataclasses.asdict(gpu) for gpu in gpus],
    }
