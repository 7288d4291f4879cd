"""What the NVIDIA driver says of the GPUs and of who uses them."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pynvml

from distribute.nvml import memory_info

_MIB = 1024 * 1024
_KERNEL_MODULE = Path("/proc/driver/nvidia/version")


@dataclass(frozen=True)
class GpuProcess:
    """A process that uses a GPU.

    Attributes:
      pid: as NVML lists it: in a container often that of the host.
      mib: its memory there, None where NVML does not tell (Windows, some containers).
      name: empty where this process cannot see it.
    """

    pid: int
    mib: int | None
    name: str = ""


@dataclass(frozen=True)
class GpuFacts:
    """One GPU; None for what NVML does not tell. `total_mib` is without what the driver keeps for itself."""

    index: int
    name: str
    compute_capability: tuple[int, int] | None = None
    total_mib: int | None = None
    free_mib: int | None = None
    mig: bool = False
    processes: tuple[GpuProcess, ...] = ()


@dataclass(frozen=True)
class NvidiaFacts:
    """The driver and its GPUs.

    Attributes:
      driver: its version; empty where NVML could not be used.
      cuda: the newest CUDA that it runs, as (12, 5).
      gpus: all GPUs of the machine, whatever CUDA_VISIBLE_DEVICES says.
      has_kernel_module: ``/proc/driver/nvidia/version`` exists.
      error: why NVML could not be used.
    """

    driver: str = ""
    cuda: tuple[int, int] | None = None
    gpus: tuple[GpuFacts, ...] = ()
    has_kernel_module: bool = False
    error: str = ""

    @property
    def has_driver(self) -> bool:
        """Whether there is a driver at all, working or not."""
        return bool(self.driver) or self.has_kernel_module


def read_nvidia() -> NvidiaFacts:
    """Asks NVML; without a driver that is an ordinary answer."""
    has_module = _KERNEL_MODULE.exists()
    with contextlib.ExitStack() as stack:
        try:
            pynvml.nvmlInit()
            stack.callback(pynvml.nvmlShutdown)
            version = pynvml.nvmlSystemGetCudaDriverVersion_v2()
            return NvidiaFacts(
                driver=str(pynvml.nvmlSystemGetDriverVersion()),
                cuda=(version // 1000, version % 1000 // 10),
                gpus=tuple(_gpus()),
                has_kernel_module=has_module,
            )
        except pynvml.NVMLError as error:
            return NvidiaFacts(has_kernel_module=has_module, error=str(error))


def _gpus() -> Iterator[GpuFacts]:
    for index in range(pynvml.nvmlDeviceGetCount()):
        handle = pynvml.nvmlDeviceGetHandleByIndex(index)
        memory = _asked(memory_info, handle)
        mig = _asked(pynvml.nvmlDeviceGetMigMode, handle)
        yield GpuFacts(
            index=index,
            name=str(_asked(pynvml.nvmlDeviceGetName, handle) or "GPU"),
            compute_capability=_asked(pynvml.nvmlDeviceGetCudaComputeCapability, handle),
            total_mib=(memory.total - getattr(memory, "reserved", 0)) // _MIB if memory else None,
            free_mib=memory.free // _MIB if memory else None,
            mig=bool(mig and mig[0] == pynvml.NVML_DEVICE_MIG_ENABLE),
            processes=tuple(_processes(handle)),
        )


def _asked(question: Callable[[Any], Any], handle: Any) -> Any:
    """The answer, None where this GPU or driver does not know it."""
    try:
        return question(handle)
    except pynvml.NVMLError:
        return None


def _processes(handle: Any) -> Iterator[GpuProcess]:
    for process in _asked(pynvml.nvmlDeviceGetComputeRunningProcesses, handle) or ():
        used = process.usedGpuMemory
        yield GpuProcess(process.pid, None if used is None else used // _MIB, name_of(process.pid))


def name_of(pid: int) -> str:
    """The name of a process that uses CUDA; empty for any other, which in a container only has the same number."""
    try:
        process = psutil.Process(pid)
        uses_cuda = any("libcuda" in mapped.path for mapped in process.memory_maps())
        return process.name() if uses_cuda else ""
    except psutil.Error:
        return ""
