"""What NVIDIA's management library (NVML, the source of nvidia-smi) says of the visible GPUs.

Without a driver every function answers "nothing" instead of raising: a machine without a GPU is an ordinary case.
"""

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pynvml

_MIB = 1024 * 1024


@dataclass(frozen=True)
class GpuMemory:
    """Memory of one GPU or MIG instance over all processes, in MiB."""

    total_mib: int
    free_mib: int


def visible_gpu_memory() -> list[GpuMemory]:
    """Memory of each GPU that CUDA_VISIBLE_DEVICES lets this process see, in that order; empty without a driver."""
    with _session() as available:
        if not available:
            return []
        return [_memory(handle) for handle in _visible_handles(os.environ.get("CUDA_VISIBLE_DEVICES"))]


@dataclass(frozen=True)
class ProcessMemory:
    """GPU memory of one process over all visible GPUs in MiB, and what the figure is.

    In many containers NVML lists the host's process ids (nvidia-docker#179), and on Windows no figure per
    process: then it is the used memory of the GPUs, other processes included.
    """

    mib: int
    source: str


def process_memory(pid: int) -> ProcessMemory | None:
    """What ``nvidia-smi`` shows for a process; None without a driver or a visible GPU."""
    with process_memory_reader(pid) as read:
        return read()


@contextlib.contextmanager
def process_memory_reader(pid: int) -> Iterator[Callable[[], ProcessMemory | None]]:
    """`process_memory` to be read again and again, with NVML open meanwhile."""
    with _session() as available:
        handles = _visible_handles(os.environ.get("CUDA_VISIBLE_DEVICES")) if available else []
        yield lambda: _process_memory(pid, handles) if handles else None


def _process_memory(pid: int, handles: Sequence[Any]) -> ProcessMemory:
    used = [process.usedGpuMemory for handle in handles for process in _processes(handle) if process.pid == pid]
    if used and None not in used:
        return ProcessMemory(sum(used) // _MIB, "the process, by NVML")
    total = sum(memory_info(handle).used for handle in handles)
    return ProcessMemory(total // _MIB, "the GPUs, other processes included: NVML does not list this process")


def _processes(handle: Any) -> Sequence[Any]:
    try:
        return pynvml.nvmlDeviceGetComputeRunningProcesses(handle)
    except pynvml.NVMLError:  # not supported (vGPU, some MIG set-ups), or no permission
        return []


def memory_info(handle: Any) -> Any:
    """``total``, ``free``, ``used`` of a GPU in bytes, and ``reserved``, what the driver keeps, where it tells that.

    Without that, NVML's first version of the question counts it as used: 616 MiB on an idle H200.

    Raises:
      pynvml.NVMLError: this GPU or driver does not know.
    """
    try:
        return pynvml.nvmlDeviceGetMemoryInfo(handle, version=pynvml.nvmlMemory_v2)
    except (pynvml.NVMLError_FunctionNotFound, pynvml.NVMLError_NotSupported):
        return pynvml.nvmlDeviceGetMemoryInfo(handle)


def driver_version() -> str | None:
    """Version of the NVIDIA driver, None without one."""
    with _session() as available:
        return str(pynvml.nvmlSystemGetDriverVersion()) if available else None


@contextlib.contextmanager
def _session() -> Iterator[bool]:
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:  # no library, no driver, or no permission: all mean that NVML cannot tell
        yield False
        return
    try:
        yield True
    finally:
        pynvml.nvmlShutdown()


def _visible_handles(visible: str | None) -> list[Any]:
    if visible is None:
        return [_first_mig_instance(_by_index(index)) for index in range(pynvml.nvmlDeviceGetCount())]
    handles = []
    for entry in visible.split(","):
        try:
            handles.append(_open(entry.strip()))
        except (pynvml.NVMLError, ValueError):
            break  # CUDA, too, sees only the entries before the first invalid one
    return handles


def _open(entry: str) -> Any:
    if entry.startswith(("GPU-", "MIG-")):
        return pynvml.nvmlDeviceGetHandleByUUID(entry)
    return _first_mig_instance(_by_index(int(entry)))


def _by_index(index: int) -> Any:
    if index < 0:
        raise ValueError(f"GPU index {index} is negative")
    return pynvml.nvmlDeviceGetHandleByIndex(index)


def _first_mig_instance(handle: Any) -> Any:
    """With MIG on, CUDA opens the first instance of a GPU; the GPU's own figures are those of all instances."""
    try:
        current, _ = pynvml.nvmlDeviceGetMigMode(handle)
        if current == pynvml.NVML_DEVICE_MIG_ENABLE:
            return pynvml.nvmlDeviceGetMigDeviceHandleByIndex(handle, 0)
    except pynvml.NVMLError:  # most GPUs know no MIG
        pass
    return handle


def _memory(handle: Any) -> GpuMemory:
    info = memory_info(handle)
    return GpuMemory(total_mib=info.total // _MIB, free_mib=info.free // _MIB)
