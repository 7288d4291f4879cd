"""Refuses a verification that cannot fit in this machine's memory, before it fills it and the kernel kills the process.

What a step did is kept for each run that is compared: values before and after, gradients at several places, of one
device, of each replica and of the replay. `docs/performance.md` has the measurements behind the figures.
"""

import math
from collections.abc import Sequence

from ..device_plan import DeviceError
from ..machine import host_memory_mib
from .variables import TRAINABLE, Slot

_MIB = 1024**2
_PROGRAM_MIB = 900  # TensorFlow, graphs and data, whatever the model's size

# How many copies are held at the peak: of what is trained, and of all variables, the optimizer's among them.
_TRAINED, _ALL = 12, 12
_TRAINED_OF_REPLICA, _ALL_OF_REPLICA = 7.5, 3


def needed_mib(slots: Sequence[Slot], num_replicas: int, value_bytes: int) -> int:
    """The memory that a verification takes at its peak, in MiB, to a fifth."""
    of_all = sum(math.prod(slot.shape) for slot in slots)
    trained = sum(math.prod(slot.shape) for slot in slots if slot.role == TRAINABLE)
    of_replicas = num_replicas * (_TRAINED_OF_REPLICA * trained + _ALL_OF_REPLICA * of_all)
    copies = _TRAINED * trained + _ALL * of_all + of_replicas
    return _PROGRAM_MIB + int(copies * value_bytes) // _MIB


def require_host_memory(slots: Sequence[Slot], num_replicas: int, value_bytes: int) -> None:
    """Compares it with what this process may have at most.

    Raises:
      DeviceError: it does not fit.
    """
    needed, there = needed_mib(slots, num_replicas, value_bytes), host_memory_mib()
    if needed > there:
        of_all = sum(math.prod(slot.shape) for slot in slots)
        raise DeviceError(
            f"verifying {of_all:,} values of variables on {num_replicas} replica(s) takes some {needed / 1024:.1f} GiB"
            f" of host memory, and this machine has {there / 1024:.1f}: verify a narrower build of the same model, or"
            " fewer replicas"
        )
