"""Two of the three ledgers, read now: TensorFlow's allocators by device, and what the process holds in all.

Where a ledger cannot be read, a sentence says why.
"""

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import psutil
import tensorflow as tf

from .. import nvml

NO_COUNTER = (
    "TensorFlow counts no memory on the CPU without its BFC allocator: set TF_CPU_ALLOCATOR_USE_BFC=true before the "
    "first operation"
)


@dataclass(frozen=True)
class Ledgers:
    """How to read what is in use, in bytes.

    Attributes:
      devices: names of the devices with a counter of their own. All logical CPUs share one, which the first stands for.
      no_counter: why there are none.
      process: reads what the process holds.
      process_source: what that figure is.
    """

    devices: Sequence[str]
    no_counter: str
    process: Callable[[], int]
    process_source: str

    def in_use(self) -> tuple[int, ...]:
        """Bytes in use in the allocator of each device."""
        return tuple(tf.config.experimental.get_memory_info(device)["current"] for device in self.devices)

    def peaks(self) -> tuple[int, ...]:
        """The most bytes in use in each allocator since `reset_peaks`, exact to the byte."""
        return tuple(tf.config.experimental.get_memory_info(device)["peak"] for device in self.devices)

    def reset_peaks(self) -> None:
        """Peaks count from now on."""
        for device in self.devices:
            tf.config.experimental.reset_memory_stats(device)


@contextlib.contextmanager
def open_ledgers(names: Sequence[str]) -> Iterator[Ledgers]:
    """The ledgers of these logical devices; NVML stays open meanwhile, since opening it takes longer than a reading."""
    on_gpu = all(name.startswith("GPU") for name in names)
    devices = tuple(names) if on_gpu else tuple(names[:1])
    counted = _is_counted(devices[0])
    process = psutil.Process()  # once: to look for it takes longer than to read its memory
    with nvml.process_memory_reader(os.getpid()) as read_gpus:
        gpus = read_gpus() if on_gpu else None
        yield Ledgers(
            devices=devices if counted else (),
            no_counter="" if counted else NO_COUNTER,
            process=(lambda: _gpu_bytes(read_gpus)) if gpus else lambda: process.memory_info().rss,
            process_source=gpus.source if gpus else "resident memory of the process",
        )


def _is_counted(device: str) -> bool:
    """Whether a piece of memory shows in the counter to the byte; without BFC there is none, or one of large pieces."""
    with tf.device(device):
        before = _current(device)
        piece = tf.zeros([256]) + 1.0
        after = _current(device)
    del piece
    return before is not None and after is not None and after > before


def _current(device: str) -> int | None:
    try:
        return tf.config.experimental.get_memory_info(device)["current"]
    except (ValueError, tf.errors.NotFoundError):  # the device's allocator counts nothing
        return None


def _gpu_bytes(read: Callable[[], nvml.ProcessMemory | None]) -> int:
    used = read()
    return used.mib * 2**20 if used else 0
