"""The operating system, memory and cores."""

import os
import platform

import psutil

from distribute.machine import host_memory_mib
from train.machine_checks.row import Row, Status

_MIB = 1024 * 1024
_LEAST_FREE_MIB = 2048  # TensorFlow and a small model take one


def host_rows() -> list[Row]:
    """All rows of this module."""
    memory = psutil.virtual_memory()
    return [
        system_row(platform.system(), platform.release()),
        memory_row(host_memory_mib(), memory.total // _MIB, memory.available // _MIB),
        cores_row(usable_cores(), os.cpu_count() or 1),
    ]


def system_row(system: str, release: str) -> Row:
    """Where TensorFlow can use a GPU: Linux, and WSL 2 on Windows."""
    name = "operating system"
    if system == "Windows":
        return Row(name, Status.PROBLEM, "Windows", "use WSL 2: TensorFlow has no GPU on Windows itself since 2.11")
    if system == "Darwin":
        return Row(name, Status.WARNING, "macOS", "no NVIDIA GPU there; --device=cpu splits the CPU")
    if "microsoft" in release.lower():
        if "wsl2" in release.lower() or "microsoft-standard" in release.lower():
            return Row(name, Status.OK, "Linux in WSL 2; the driver is that of Windows")
        return Row(name, Status.PROBLEM, "Linux in WSL 1", "wsl --set-version DISTRIBUTION 2: WSL 1 has no GPU")
    return Row(name, Status.OK, f"{system}, {platform.machine()}")


def memory_row(limit_mib: int, total_mib: int, available_mib: int) -> Row:
    """The memory that this process may use, and what of it is free."""
    free = min(available_mib, limit_mib)
    found = f"{limit_mib:,} MiB, about {free:,} free"
    if limit_mib < total_mib:
        found += f"; limited by a control group, the machine has {total_mib:,}"
    if free < _LEAST_FREE_MIB:
        remedy = "end other programs, or a larger limit for the container or job: TensorFlow alone takes about 500 MiB"
        return Row("host memory", Status.WARNING, found, remedy)
    return Row("host memory", Status.OK, found)


def usable_cores() -> int:
    """Cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def cores_row(usable: int, total: int) -> Row:
    """Cores; N replicas on a CPU share them."""
    found = f"{usable}" if usable == total else f"{usable} of {total}"
    if usable == 1:
        return Row("cores", Status.WARNING, found, "replicas on the CPU take turns; ask for more cores")
    return Row("cores", Status.OK, found)
