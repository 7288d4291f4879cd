"""Rows on the driver, the GPUs, their memory and who uses it."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from train.machine_checks.nvidia import GpuFacts, GpuProcess, NvidiaFacts
from train.machine_checks.row import Row, Status

_LEAST_CUDA = (12, 5)  # what TensorFlow 2.21 is built with
_SAME_MAJOR = (12, 0)  # runs programs of a newer minor version, without compiling for the GPU
_BUSY_MIB = 512  # a desktop takes less
_TOO_FULL = 0.5  # of the memory: less is left than a default policy expects
_NO_DRIVER = "no NVIDIA driver"
_DRIVER_REMEDY = "with a GPU: install a driver of version 555 or later; in a container: docker run --gpus all"


def gpu_rows(facts: NvidiaFacts, build: Mapping[str, Any], num_seen: int | None) -> list[Row]:
    """All rows of this module.

    Args:
      facts: what NVML says.
      build: what TensorFlow was built for.
      num_seen: GPUs that TensorFlow sees, None where it cannot be imported.
    """
    rows = [driver_row(facts)]
    if not facts.gpus:
        reason = _NO_DRIVER if not facts.has_driver else facts.error or "the driver sees none"
        return [*rows, Row("GPUs", Status.SKIPPED, "none", reason), Row("GPU memory", Status.SKIPPED, "none", reason)]
    rows.append(_seen_row(facts.gpus, num_seen))
    for gpu in facts.gpus:
        rows += [capability_row(gpu, build), memory_row(gpu)]
    return rows


def driver_row(facts: NvidiaFacts) -> Row:
    """The driver, and the newest CUDA that it runs."""
    if not facts.has_driver:
        return Row("driver", Status.SKIPPED, "none", f"{facts.error}; {_DRIVER_REMEDY}")
    if not facts.driver:
        remedy = "restart the machine (a container: start it again) if it was updated; else install it again"
        return Row("driver", Status.PROBLEM, f"loaded, but NVML says: {facts.error}", remedy)
    cuda = facts.cuda or (0, 0)
    found = f"{facts.driver}, runs CUDA {cuda[0]}.{cuda[1]}"
    if cuda < _SAME_MAJOR:
        return Row("driver", Status.PROBLEM, f"{found}; CUDA 12 is needed", "install version 555 or later")
    if cuda < _LEAST_CUDA:
        remedy = "install version 555 or later: this one cannot compile kernels for GPUs that have none in the wheel"
        return Row("driver", Status.WARNING, found, remedy)
    return Row("driver", Status.OK, found)


def _seen_row(gpus: Sequence[GpuFacts], num_seen: int | None) -> Row:
    found = f"{len(gpus)} in the machine"
    if num_seen is None:
        return Row("GPUs", Status.SKIPPED, found, "TensorFlow cannot be imported")
    found += f", {num_seen} seen by TensorFlow"
    if num_seen == 0:
        remedy = "see the rows on CUDA and CUDA_VISIBLE_DEVICES; python train/doctor.py --log explains TensorFlow's log"
        return Row("GPUs", Status.PROBLEM, found, remedy)
    if num_seen < len(gpus):
        return Row("GPUs", Status.WARNING, found, "CUDA_VISIBLE_DEVICES hides the others")
    return Row("GPUs", Status.OK, found)


def capability_row(gpu: GpuFacts, build: Mapping[str, Any]) -> Row:
    """Whether the wheel has kernels for the GPU."""
    name = f"GPU {gpu.index}"
    if gpu.compute_capability is None:
        return Row(name, Status.SKIPPED, gpu.name, "NVML does not tell its compute capability")
    capability = gpu.compute_capability
    found = f"{gpu.name}, compute capability {capability[0]}.{capability[1]}" + (", MIG" if gpu.mig else "")
    kernels, compiled = _built_for(build)
    if capability < min(kernels):
        least = ".".join(map(str, min(kernels)))
        return Row(name, Status.PROBLEM, found, f"this TensorFlow begins at {least}: an older TensorFlow, or the CPU")
    if any(one[0] == capability[0] and one <= capability for one in kernels):
        return Row(name, Status.OK, found)
    remedy = "kernels are compiled at first use, for minutes; CUDA_CACHE_MAXSIZE=4294967296 keeps them for the next run"
    if capability > compiled:
        remedy += "; if it dies with CUDA_ERROR_INVALID_PTX, see tensorflow#89272"
    return Row(name, Status.WARNING, found, remedy)


def _built_for(build: Mapping[str, Any]) -> tuple[list[tuple[int, int]], tuple[int, int]]:
    """Compute capabilities with kernels, and the one of the code that others are compiled from."""
    listed = build.get("cuda_compute_capabilities")
    text = " ".join(map(str, listed)) if isinstance(listed, list) else str(listed or "")
    kernels = [_capability(number) for number in re.findall(r"sm_(\d+)", text)]
    compiled = [_capability(number) for number in re.findall(r"compute_(\d+)", text)]
    return kernels or [(6, 0), (7, 0), (8, 0), (8, 9)], max(compiled, default=(9, 0))


def _capability(digits: str) -> tuple[int, int]:
    return int(digits[:-1]), int(digits[-1])


def memory_row(gpu: GpuFacts) -> Row:
    """How much of a GPU is free, and who has the rest."""
    name = f"GPU {gpu.index} memory"
    if gpu.total_mib is None or gpu.free_mib is None:
        return Row(name, Status.SKIPPED, "unknown", "NVML does not tell it for this GPU")
    if gpu.mig:
        found = f"{gpu.free_mib:,} of {gpu.total_mib:,} MiB free over all MIG instances"
        return Row(name, Status.OK, found)
    used = gpu.total_mib - gpu.free_mib
    found = f"{gpu.free_mib:,} of {gpu.total_mib:,} MiB free; used by {_users(gpu.processes, used)}"
    if used <= _BUSY_MIB:
        return Row(name, Status.OK, found)
    remedy = (
        "end the process or wait, or CUDA_VISIBLE_DEVICES=another; sharing it: --memory_policy=growth, or"
        f" --memory_limit below {max(gpu.free_mib - _BUSY_MIB, 0):,}"
    )
    too_full = gpu.free_mib < _TOO_FULL * gpu.total_mib
    return Row(name, Status.PROBLEM if too_full else Status.WARNING, found, remedy)


def _users(processes: Sequence[GpuProcess], used_mib: int) -> str:
    if not processes:
        return (
            "nobody"
            if used_mib <= _BUSY_MIB
            else "processes that NVML does not list here (a desktop, another container)"
        )
    return ", ".join(_user(process) for process in processes)


def _user(process: GpuProcess) -> str:
    name = process.name or "not visible here: of the host or of another user"
    memory = "memory unknown" if process.mib is None else f"{process.mib:,} MiB"
    return f"pid {process.pid} ({name}, {memory})"
