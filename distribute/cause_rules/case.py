"""One failed batch, and the further runs that the rules ask for; each is made once, when it is first needed."""

import functools
from collections.abc import Mapping, Sequence

import numpy as np

from ..causes import Explanation
from ..equivalence_check import variables
from ..equivalence_check.checks import first_copies
from ..equivalence_check.evidence import Evidence
from ..equivalence_check.inputs import Batch
from ..equivalence_check.judgement import Findings, gradient_check
from ..equivalence_check.trial import Trial
from ..equivalence_check.weights import EXACT, Weights, weights_of

Gradients = Mapping[str, np.ndarray]

NEAR = 1e-6
"""Two figures this close are the same one: weights and ratios are exact in float64 up to Keras' rounded 1/N."""
_COARSEST = 1e-4
"""Beyond this causes cannot be told apart: what is judged in half precision is named by other evidence."""


class Case:
    """What one batch showed, with the further evidence behind it.

    Attributes:
      trial: the program, which can be run again.
      found: the checks of the batch.
    """

    def __init__(self, trial: Trial, found: Findings) -> None:
        self.trial, self.found = trial, found

    @property
    def batch(self) -> Batch:
        """The batch."""
        return self.found.pair.batch

    @property
    def num_replicas(self) -> int:
        """Replicas of the candidate."""
        return len(self.batch.shards)

    @property
    def reference(self) -> Evidence:
        """The first step on one device."""
        return self.found.pair.reference[0]

    @property
    def candidate(self) -> Evidence:
        """The first step on the replicas."""
        return self.found.pair.candidate[0]

    @property
    def near(self) -> float:
        """How close two figures are that are the same one, in the dtype by which the program is judged."""
        return max(NEAR, self._rounding)

    @property
    def exact(self) -> float:
        """How close, as a relative L2, what is the same but for rounding is, in that dtype."""
        return max(EXACT, self._rounding)

    @property
    def _rounding(self) -> float:
        return min(self.trial.row.relative, _COARSEST)

    @functools.cached_property
    def trained(self) -> set[str]:
        """The variables that are trained."""
        return {slot.key for slot in self.trial.slots if slot.role == variables.TRAINABLE}

    @functools.cached_property
    def alone(self) -> Sequence[Evidence]:
        """The single-device step on each shard by itself."""
        return self.trial.shards_alone(self.batch)

    @functools.cached_property
    def weights(self) -> Weights | None:
        """With which weight each shard enters both runs."""
        reference, candidate = first_copies(self.reference.gradients), first_copies(self.candidate.gradients)
        alone = [first_copies(one.gradients) for one in self.alone]
        return weights_of(reference, candidate, alone, self.batch.sizes, exact=self.exact)

    @functools.cached_property
    def same_shards(self) -> Sequence[tuple[Gradients, Gradients]]:
        """(one device, replicas) where every replica gets the same shard: twice, with different examples.

        Whatever depends on how examples differ between replicas is gone there, and no replica is empty. There is none
        where the replicas raise an exception.
        """
        return [
            (first_copies(pair.reference[0].gradients), first_copies(pair.candidate[0].gradients))
            for pair in (self.trial.pair_on([shard] * self.num_replicas) for shard in self._two_shards())
            if pair.candidate
        ]

    @functools.cached_property
    def agrees_on_same_shards(self) -> bool:
        """Whether replicas with the same examples agree with one device."""
        runs = self.same_shards
        return bool(runs) and all(norm(difference(other, one)) <= self.near * norm(one) for one, other in runs)

    def without_statistics(self) -> "Case | None":
        """The same batch with BatchNormalization in inference mode, if the gradient is still wrong then."""
        if not self.trial.reference.subject.batch_normalizations():
            return None
        trial = self.trial.without_batch_statistics()
        pair = trial.pair(self.batch)
        if not pair.candidate:
            return None
        case = Case(trial, Findings(pair))
        case.found.judged["gradient"] = gradient_check("gradient", trial, pair, trial.row)
        return case if case.found.failed("gradient") else None

    def _two_shards(self) -> list[object]:
        """The two largest shards that differ."""
        order = sorted(range(self.num_replicas), key=lambda k: -self.batch.sizes[k])
        filled = [k for k in order if self.batch.sizes[k]]
        return self.batch.distinct_shards(filled)[:2]

    def where(self, kind: str, variable: str = "") -> str:
        """The user's line for this kind of call, where it was seen; of several losses the one of this variable."""
        return self.trial.reference.place(kind, variable)

    def explanation(self, cause: str, evidence: str, variable: str = "", kind: str = "") -> Explanation:
        """A cause with its evidence, and the line of the user's that `kind` of call stands in."""
        return Explanation(cause, evidence, variable, self.where(kind, variable) if kind else "")

    @property
    def worst_gradient(self) -> str:
        """The variable whose gradient is furthest off."""
        comparison = self.found.gradients
        return comparison.worst.key if comparison and comparison.worst else ""


def norm(gradients: Gradients) -> float:
    """L2 over all variables."""
    return float(np.sqrt(sum(float(np.vdot(value, value).real) for value in gradients.values())))


def difference(first: Gradients, second: Gradients) -> dict[str, np.ndarray]:
    """`first` minus `second`, for the variables of both."""
    return {key: first[key] - second[key] for key in first if key in second}


def largest(gradients: Gradients) -> str:
    """The variable with the greatest L2."""
    return max(gradients, key=lambda key: float(np.linalg.norm(gradients[key].ravel())), default="")
