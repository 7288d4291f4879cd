"""The loss of each step of a run, thinned out where there are many: what two runs are compared by."""

from collections.abc import Iterator, Mapping
from typing import Any

_MOST = 1000
_ALWAYS = 20


class LossHistory:
    """Keeps the losses of the first 20 steps, and of every one that the stride divides.

    The stride begins at 1 and doubles where more than 1,000 would be kept.

    Which steps are kept depends on their numbers alone, so two runs have steps in common whatever their length.
    """

    def __init__(self) -> None:
        self._losses: dict[int, float] = {}
        self._stride = 1

    def add(self, step: int, loss: float) -> None:
        """Takes the loss of step `step`, counted from 1."""
        if not self._keeps(step):
            return
        self._losses[step] = loss
        if len(self._losses) > _MOST:
            self._stride *= 2
            self._losses = {number: loss for number, loss in self._losses.items() if self._keeps(number)}

    def _keeps(self, step: int) -> bool:
        return step <= _ALWAYS or step % self._stride == 0

    @staticmethod
    def joined(before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
        """The losses of a resumed run: those of the run before up to where it went on."""
        if not before or not after:
            return before or after
        kept = [(step, loss) for step, loss in _pairs(before) if not after["steps"] or step < after["steps"][0]]
        steps, values = zip(*kept, *_pairs(after), strict=True) if kept or after["steps"] else ((), ())
        return {"steps": list(steps), "values": list(values)}

    def to_dict(self) -> dict[str, Any]:
        """The ``losses`` entry of ``report.json``."""
        return {"steps": list(self._losses), "values": list(self._losses.values())}


def _pairs(losses: Mapping[str, Any]) -> Iterator[tuple[int, float]]:
    return zip(losses["steps"], losses["values"], strict=True)
