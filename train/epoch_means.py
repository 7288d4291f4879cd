"""The means over an epoch, which go into the checkpoints so that a resumed epoch ends with the means of all of it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class EpochMeans:
    """Means over the examples of the epoch up to the last step; each step's with the weights that it began with.

    Attributes:
      examples: how many of the epoch's examples are in the means.
      loss: None before the first step.
      accuracy: None before the first step, and where no accuracy is measured.
    """

    examples: int = 0
    loss: float | None = None
    accuracy: float | None = None

    def plus(self, examples: int, loss: float, accuracy: float | None) -> "EpochMeans":
        """With a further step of so many examples."""
        total = self.examples + examples
        if self.loss is None or self.examples == 0:
            return EpochMeans(total, loss, accuracy)

        def mean(before: float | None, value: float | None) -> float | None:
            return None if before is None or value is None else (before * self.examples + value * examples) / total

        return EpochMeans(total, mean(self.loss, loss), mean(self.accuracy, accuracy))

    def to_list(self) -> list[float]:
        """As three floats, for a checkpoint; NaN stands for None."""
        unknown = math.nan
        return [
            float(self.examples),
            unknown if self.loss is None else self.loss,
            unknown if self.accuracy is None else self.accuracy,
        ]

    @classmethod
    def from_list(cls, values: Sequence[float]) -> "EpochMeans":
        """The inverse of `to_list`."""
        examples, *means = (float(value) for value in values)
        loss, accuracy = (None if math.isnan(mean) else mean for mean in means)
        return cls(int(examples), loss, accuracy)
