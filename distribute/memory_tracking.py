"""`track_memory`: what your own code holds, phase by phase, op by op, and as a timeline."""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from .devices import Devices
from .memory_timeline.allocations import Allocation, record_allocations
from .memory_timeline.holders import Holders, holders_at_peak
from .memory_timeline.ledgers import Ledgers, open_ledgers
from .memory_timeline.phases import PhaseMemory, memory_text
from .memory_timeline.sampler import Sample, Sampler
from .memory_timeline.state import state_on
from .memory_timeline.svg import timeline_svg


class MemoryRecord:
    """What `track_memory` has seen.

    Attributes:
      devices: names of the devices that have a counter of their own; empty where there is none.
      notes: what could not be measured and why.
      phases: the phases that have ended, in order.
      samples: what is in use over time, every `interval_s` seconds.
      limit_mib: the limit of each device, drawn as a line; None without one.
    """

    def __init__(self, ledgers: Ledgers, sampler: Sampler, limit_mib: int | None) -> None:
        self.devices = tuple(ledgers.devices)
        self.notes = [ledgers.no_counter] if ledgers.no_counter else []
        self.process_source = ledgers.process_source
        self.phases: list[PhaseMemory] = []
        self.limit_mib = limit_mib
        self._ledgers, self._sampler = ledgers, sampler
        self._is_in_phase = False

    @property
    def samples(self) -> Sequence[Sample]:
        """Readings so far, the oldest first."""
        return tuple(self._sampler.samples)

    @contextlib.contextmanager
    def phase(self, name: str, *, holders_of: Any = None) -> Iterator[None]:
        """A stretch of the code with peaks of its own.

        Args:
          name: such as ``build``, ``first step``, ``evaluation``.
          holders_of: the `keras.Model` or `Program` that runs in it: every allocation is recorded, and the peak broken
            down by what holds it. TensorFlow's profiler runs meanwhile: meant for a step or a few, after the first.

        Raises:
          RuntimeError: a phase is open already; phases follow each other.
        """
        if self._is_in_phase:
            raise RuntimeError(f"phase {name!r} begins within another: end that one first")
        self._is_in_phase = True
        begin = self._sampler.take().seconds
        self._ledgers.reset_peaks()
        recording: contextlib.AbstractContextManager[Sequence[Allocation]]
        recording = contextlib.nullcontext(()) if holders_of is None else record_allocations()
        events: Sequence[Allocation] = ()
        try:
            with recording as events:
                yield
        finally:
            self._is_in_phase = False
            self._sampler.take()
            self.phases.append(self._phase(name, begin, self._holders(events, holders_of)))

    def _phase(self, name: str, begin: float, holders: Sequence[Holders | None]) -> PhaseMemory:
        samples = [sample for sample in self._sampler.samples if sample.seconds >= begin]
        highest = max(samples, key=lambda sample: sample.process)
        return PhaseMemory(
            name=name,
            begin_s=begin,
            end_s=samples[-1].seconds,
            peaks=self._ledgers.peaks(),
            process_peak=highest.process,
            outside=max(highest.process - sum(highest.in_use), 0) if self.devices else None,
            holders=holders,
        )

    def _holders(self, events: Sequence[Allocation], program: Any) -> Sequence[Holders | None]:
        if program is None:
            return ()
        own = {name: [event for event in events if _is_allocator_of(name, event.allocator)] for name in self.devices}
        return [holders_at_peak(own[name], state_on(name, program)) for name in self.devices]

    def to_dict(self) -> dict[str, Any]:
        """Everything for JSON, in MiB and seconds."""
        return {
            "devices": list(self.devices),
            "limit_mib": self.limit_mib,
            "process_source": self.process_source,
            "notes": list(self.notes),
            "phases": [phase.to_dict(self.devices) for phase in self.phases],
            "samples": [
                {
                    "seconds": round(sample.seconds, 4),
                    "in_use_mib": [used / 2**20 for used in sample.in_use],
                    "process_mib": sample.process / 2**20,
                }
                for sample in self.samples
            ],
        }

    def __str__(self) -> str:
        return memory_text(self.phases, self.devices, self.process_source, self.notes)

    def save_timeline(self, path: str | Path, title: str = "memory") -> None:
        """Writes the timeline as one self-contained SVG file, which any browser shows."""
        Path(path).write_text(timeline_svg(self.samples, self.phases, self.devices, self.limit_mib, title))


@contextlib.contextmanager
def track_memory(devices: Devices | Sequence[str], *, interval_s: float = 0.05) -> Iterator[MemoryRecord]:
    """Samples memory while the block runs, 20 times a second.

    Example::

        with track_memory(devices) as memory:
            with memory.phase("training"):
                model.fit(...)
            with memory.phase("one step", holders_of=model):
                model.train_on_batch(...)
        print(memory)
        memory.save_timeline("memory.svg")

    The peak of a phase comes from TensorFlow's own counter and is exact to the byte, however short it was; samples only
    draw the line in between. What no allocator sees (CUDA's context, cuBLAS, cuDNN and NCCL on a GPU, Python and
    libraries on CPU) is what the process holds beyond all of them. On CPU there are counters only under the BFC
    allocator (``TF_CPU_ALLOCATOR_USE_BFC=true``, set before the first operation), one for all logical CPUs; without it
    resident memory alone is sampled, and a note says so.

    Args:
      devices: what `split_device` returned, or names of logical devices.
      interval_s: seconds from sample to sample.

    Raises:
      ValueError: no device, or an interval that is not positive.
    """
    names = devices.names if isinstance(devices, Devices) else tuple(devices)
    if not names or interval_s <= 0:
        raise ValueError(f"devices {names!r} and interval {interval_s} s: a device and a positive interval are needed")
    limit = devices.memory_limit_mib if isinstance(devices, Devices) else None
    with open_ledgers(names) as ledgers:
        sampler = Sampler(ledgers, interval_s)
        sampler.start()
        try:
            yield MemoryRecord(ledgers, sampler, limit)
        finally:
            sampler.stop()


def _is_allocator_of(device: str, allocator: str) -> bool:
    kind, _, index = device.partition(":")
    return allocator == f"GPU_{index}_bfc" if kind == "GPU" else not allocator.startswith("GPU_")
