"""Whether devices get what they are sent: known integers over every pair of them, and through the sums of training.

On some machines what is copied between certain pairs of GPUs arrives zeroed, damaged or as NaN, while every query says
that the pair can copy (tensorflow#105552, tensorflow#57893: PCIe Access Control Services; pytorch#84803: IOMMU).
Nothing raises; the loss is NaN, or wrong. Found is what is damaged each time: a link that fails now and then can pass.
"""

import dataclasses
import functools
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from .devices import Devices
from .transport_check.copies import copy_failures
from .transport_check.known_values import TransportFailure, sizes_within
from .transport_check.sums import Summands, all_reduce_failures, one_device_failures, reduce_failures
from .worker_strategy import num_processes_of

_MOST_SHOWN = 4  # of the failures; eight GPUs have 56 pairs

_NO_ACS = (
    "turn PCIe Access Control Services (ACS) off, in the BIOS or by setpci: they send what GPUs copy to each other"
    " through the CPU (NCCL User Guide, Troubleshooting)"
)
_NO_TRANSLATION = "boot with the kernel parameter iommu=pt, or turn the IOMMU off in the BIOS (pytorch#84803)"
_NO_PEERS = "NCCL_P2P_DISABLE=1 in the environment: NCCL then copies through the host's memory, which is slower"
_OTHER_SUM = "in code of your own, cross_device_ops=tf.distribute.ReductionToOneDevice(), whose sums are right here"


@dataclass(frozen=True)
class TransportVerdict:
    """What was found on the ways between devices.

    Attributes:
      failures: copies first, then sums; empty where all is well.
      remedies: what to do, most promising first; empty without a failure.
      skipped: why nothing was sent; empty where something was.
      seconds: how long it took.
    """

    failures: tuple[TransportFailure, ...] = ()
    remedies: tuple[str, ...] = ()
    skipped: str = ""
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether nothing wrong was found."""
        return not self.failures

    def to_dict(self) -> dict[str, Any]:
        """The ``transport`` entry of ``report.json``; empty where nothing was sent."""
        if self.skipped:
            return {}
        failures = [dataclasses.asdict(failure) for failure in self.failures]
        return {"ok": self.ok, "failures": failures, "remedies": list(self.remedies), "seconds": self.seconds}

    @property
    def found(self) -> str:
        """What was found, in a line: the first failures, or that there is none."""
        if self.ok:
            return self.skipped or "every device gets what it is sent"
        shown = "; ".join(map(str, self.failures[:_MOST_SHOWN]))
        more = len(self.failures) - _MOST_SHOWN
        return f"devices do not get what they are sent: {shown}" + (f"; and {more} more" if more > 0 else "")

    def __str__(self) -> str:
        return self.found if self.ok else f"{self.found}\n  try: {'; or '.join(self.remedies)}"


@functools.cache
def check_transport(strategy: tf.distribute.Strategy, devices: Devices) -> TransportVerdict:
    """Sends known integers over every ordered pair of devices, and sums them as training does.

    1. From the host to each device and back.
    2. From each device to each other one, compared there: only a count comes back.
    3. Summed by the strategy's all-reduce, in ``strategy.run`` in a `tf.function`.
    4. Summed by the strategy's ``reduce``, as a loss is that is to be shown.
    5. Summed by `tf.distribute.ReductionToOneDevice`, which only copies and adds: where 2 and 5 are right and 3 is
       wrong, it is the strategy's collective.

    With a strategy over several processes all of them have to call it. Each tries the copies between its own devices
    and looks at what its own replicas get of the sums over all; 5 cannot reach another process, and is left out.

    The verdict is kept for the life of the process, one for each strategy. A file would have to know whether the
    machine was mended since. A link that hangs, hangs here as it would in training.

    Args:
      strategy: the one that will train, from `make_strategy`, which says why it has to be the very same.
      devices: what `split_device` returned in this process; where there is no other one, nothing is sent.
    """
    if strategy.num_replicas_in_sync == 1:
        return TransportVerdict(skipped=f"{devices.names[0]} is the only device: there is no other to send anything to")
    begin = time.perf_counter()
    sizes = sizes_within(devices.memory_limit_mib)
    copies = list(copy_failures(devices.names, sizes))
    summands = Summands(strategy, devices.names, sizes)
    collective = list(all_reduce_failures(strategy, summands))
    reduced = list(reduce_failures(strategy, summands))
    one_device = [] if num_processes_of(strategy) > 1 else list(one_device_failures(summands))
    return TransportVerdict(
        failures=(*copies, *collective, *reduced, *one_device),
        remedies=_remedies([*copies, *one_device], [*collective, *reduced]),
        seconds=time.perf_counter() - begin,
    )


def _remedies(copied: Sequence[TransportFailure], collective: Sequence[TransportFailure]) -> tuple[str, ...]:
    if copied:  # NCCL has no part in these
        return (_NO_ACS, _NO_TRANSLATION, _NO_PEERS)
    return (_NO_PEERS, _OTHER_SUM, _NO_ACS, _NO_TRANSLATION) if collective else ()
