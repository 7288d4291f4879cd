"""Loss or accuracy of each step of a run, thinned out where there are many; two runs are compared by their losses."""

from collections.abc import Iterator, Mapping
from typing import Any

_MOST = 1000
_ALWAYS = 20


class StepHistory:
    """Keeps the figures of the first 20 steps, and of every one that the stride divides.

    The stride begins at 1 and doubles where more than 1,000 would be kept.

    Which steps are kept depends on their numbers alone, so two runs have steps in common whatever their length.
    """

    def __init__(self) -> None:
        self._values: dict[int, float] = {}
        self._stride = 1

    def add(self, step: int, value: float) -> None:
        """Takes the figure of step `step`, counted from 1."""
        if not self._keeps(step):
            return
        self._values[step] = value
        if len(self._values) > _MOST:
            self._stride *= 2
            self._values = {number: value for number, value in self._values.items() if self._keeps(number)}

    def _keeps(self, step: int) -> bool:
        return step <= _ALWAYS or step % self._stride == 0

    @staticmethod
    def joined(before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
        """The history of a resumed run: that of the run before up to where it went on."""
        if not before or not after:
            return before or after
        kept = [(step, value) for step, value in _pairs(before) if not after["steps"] or step < after["steps"][0]]
        steps, values = zip(*kept, *_pairs(after), strict=True) if kept or after["steps"] else ((), ())
        return {"steps": list(steps), "values": list(values)}

    def to_dict(self) -> dict[str, Any]:
        """As ``losses`` and ``accuracies`` of ``report.json`` have it."""
        return {"steps": list(self._values), "values": list(self._values.values())}


def _pairs(history: Mapping[str, Any]) -> Iterator[tuple[int, float]]:
    return zip(history["steps"], history["values"], strict=True)
