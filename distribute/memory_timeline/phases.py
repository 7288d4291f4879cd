"""What one phase took, as text and for JSON."""

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from .holders import Holders

_MIB = 2**20
_PARTS = ("parameters", "gradients", "optimizer", "activations", "temporaries", "other")
_LARGEST_SHOWN = 3


@dataclasses.dataclass(frozen=True)
class PhaseMemory:
    """Peaks of one phase, in bytes.

    Attributes:
      name: of the phase.
      begin_s, end_s: when, in seconds of the timeline.
      peaks: the most in use in each device's allocator, exact.
      process_peak: the most that the process held at a sample.
      outside: of that, what no allocator sees; None where no allocator is counted.
      holders: who held each device's peak, where the phase recorded allocations.
    """

    name: str
    begin_s: float
    end_s: float
    peaks: Sequence[int]
    process_peak: int
    outside: int | None
    holders: Sequence[Holders | None] = ()

    def to_dict(self, devices: Sequence[str]) -> dict[str, Any]:
        """For JSON, in MiB."""
        return {
            "name": self.name,
            "seconds": [round(self.begin_s, 4), round(self.end_s, 4)],
            "peak_mib": {name: peak / _MIB for name, peak in zip(devices, self.peaks, strict=True)},
            "process_peak_mib": self.process_peak / _MIB,
            "outside_allocators_mib": None if self.outside is None else self.outside / _MIB,
            "held_by_mib": {
                name: {part: getattr(one, part) / _MIB for part in _PARTS}
                for name, one in zip(devices, self.holders, strict=False)
                if one is not None
            },
        }


def memory_text(
    phases: Iterable[PhaseMemory], devices: Sequence[str], process_source: str, notes: Iterable[str]
) -> str:
    """A table of the phases, who held each peak, and what could not be measured."""
    header = ["phase", *devices, "process", "outside"]
    rows = [header, *(_row(phase) for phase in phases)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(header))]
    lines = ["peaks in MiB; process: " + process_source + "; outside: what no allocator sees of it"]
    lines += ["  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in rows]
    for phase in phases:
        lines += _held_by(phase, devices)
    return "\n".join([*lines, *(f"note: {note}" for note in notes)])


def _row(phase: PhaseMemory) -> list[str]:
    outside = "-" if phase.outside is None else f"{phase.outside / _MIB:.1f}"
    return [phase.name, *(f"{peak / _MIB:.1f}" for peak in phase.peaks), f"{phase.process_peak / _MIB:.1f}", outside]


def _held_by(phase: PhaseMemory, devices: Sequence[str]) -> Iterator[str]:
    for name, one in zip(devices, phase.holders, strict=False):
        if one is not None:
            parts = ", ".join(f"{part} {getattr(one, part) / _MIB:.2f}" for part in _PARTS)
            yield f"{phase.name}, {name}: {one.peak / _MIB:.1f} MiB = {parts}"
            for piece in one.largest[:_LARGEST_SHOWN]:
                yield f"  {piece.num_bytes / _MIB:8.2f}  {piece.what}"
