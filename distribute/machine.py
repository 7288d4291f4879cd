"""What this machine has: GPUs as TensorFlow and NVML see them, and the memory that this process may use."""

import os
from pathlib import Path

from . import nvml
from .device_plan import Gpu, Inventory

_MIB = 1024 * 1024
_CGROUP_LIMITS = (
    "/sys/fs/cgroup/memory.max",
    "/sys/fs/cgroup/memory/memory.limit_in_bytes",
)  # version 2, version 1


def read_inventory() -> Inventory:
    """Reads the machine without initialising TensorFlow's devices."""
    # Here, so that the memory of a machine can be read where TensorFlow cannot be imported (train/doctor.py).
    import tensorflow as tf

    physical = tf.config.list_physical_devices("GPU")
    memory = nvml.visible_gpu_memory() if physical else []
    gpus = []
    for index, device in enumerate(physical):
        model = tf.config.experimental.get_device_details(device).get("device_name", "GPU")
        if index < len(memory):
            gpus.append(Gpu(model, memory[index].total_mib, memory[index].free_mib))
        else:
            gpus.append(Gpu(model))
    return Inventory(tuple(gpus), host_memory_mib())


def host_memory_mib() -> int:
    """The memory that this process may use, in MiB: the machine's, or its control group's where that is less."""
    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for path in map(Path, _CGROUP_LIMITS):
        text = path.read_text().strip() if path.is_file() else "max"
        if text.isdigit():  # "max" means no limit
            limits.append(int(text))
    return min(limits) // _MIB
