"""Causes that show in some variables only: one of several losses is wrong, or one term of a loss."""

import dataclasses
from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from ..causes import Explanation
from ..equivalence_check import observe
from ..equivalence_check.checks import first_copies
from ..equivalence_check.compare import Difference
from ..equivalence_check.weights import Weights, weights_of
from .case import Case, Gradients
from .weighting import common_factor, weighting


def in_parts(case: Case) -> list[Explanation]:
    """What each variable says by itself, where all of them together say nothing.

    A GAN's generator may be off by the number of replicas while its discriminator is right; the head of a language
    model shows what its loss divides by while the body has the gradient of a second loss as well.
    """
    comparison = case.found.gradients
    off = [one for one in comparison.differences if one.residual > case.trial.row.relative] if comparison else []
    found: dict[str, list[tuple[Difference, Explanation]]] = defaultdict(list)
    runs = [first_copies(one.gradients) for one in (case.reference, case.candidate, *case.alone)] if off else []
    for one in off:
        for explanation in _of_variable(case, one, runs):
            found[explanation.cause].append((one, explanation))
    return [_told(case, shown, len(off)) for shown in found.values()]


def _of_variable(case: Case, one: Difference, runs: Sequence[Gradients]) -> list[Explanation]:
    weights = _weights(case, one.key, runs)
    found = list(weighting(case, weights).explanations) if weights is not None else []
    if found or one.ratio is None or one.cosine is None or not np.isclose(one.cosine, 1, rtol=case.near):
        return found
    return common_factor(case, one.ratio)[1]


def _weights(case: Case, key: str, runs: Sequence[Gradients]) -> Weights | None:
    """How the gradient of one variable is made of its shards', in `runs`: reference, candidate, each shard alone."""
    if any(key not in one for one in runs):
        return None
    reference, candidate, *alone = ({key: one[key]} for one in runs)
    return weights_of(reference, candidate, alone, case.batch.sizes, exact=case.exact)


def _told(case: Case, shown: list[tuple[Difference, Explanation]], number: int) -> Explanation:
    """The explanation of the variable with the largest gradient, at the loss that this one is trained with."""
    one, explanation = max(shown, key=lambda pair: pair[0].norm)
    return dataclasses.replace(
        explanation,
        evidence=f"{explanation.evidence}; in {len(shown)} of the {number} variables that are off",
        variable=one.key,
        location=case.where(observe.LOSS, one.key) if explanation.location else "",
    )
