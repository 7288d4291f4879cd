"""Causes that show in the weight with which each replica's examples enter the gradient."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..causes import Explanation
from ..equivalence_check import observe
from ..equivalence_check.weights import Weights, predicted
from . import reductions
from .case import Case, Gradients
from .normalisers import normaliser_causes


@dataclass(frozen=True)
class Weighting:
    """Causes, and the gradient that they predict; None where they do not explain it."""

    explanations: Sequence[Explanation]
    prediction: Gradients | None = None


def weighting(case: Case, weights: Weights) -> Weighting:
    """Explains the weights of the replicas' shards, where they are those of a known mistake."""
    dropped = _dropped(case, weights)
    if dropped is not None:
        return dropped
    for base, how in _readings(case, weights):
        factor = weights.factor(base)
        exact, causes = common_factor(case, factor) if factor is not None else (None, [])
        if causes and not weights.exist and case.agrees_on_same_shards:
            continue  # a shard's own step says nothing of how much a shard of a batch should count
        if exact is not None:
            shares = _wrong_shares(case, weights, base, how) if how else []
            return Weighting([*causes, *shares], _predicted(weights, base * exact))  # the larger mistake first
    return Weighting([])


def _readings(case: Case, weights: Weights) -> list[tuple[np.ndarray, str]]:
    """Weights that may be meant, but for a common factor: the right ones, and a mean over each replica by itself."""
    sizes = np.array(weights.sizes)
    right = (weights.expected, "")
    own = [(np.full(len(sizes), 1 / case.num_replicas), "alike"), (sizes / sizes.sum(), "by its number of examples")]
    own = [one for one in own if not np.allclose(one[0], weights.expected, rtol=case.near)]
    # A single shard that counts has any factor in common with itself: there the empty ones are the nearer cause.
    return [*own[:1], right, *own[1:]] if weights.counting.sum() == 1 else [right, *own]


def _predicted(weights: Weights, factors: np.ndarray) -> Gradients:
    return predicted(list(factors), weights.alone, weights.term, weights.term_factor)


def common_factor(case: Case, factor: float) -> tuple[float | None, list[Explanation]]:
    """What a factor common to all variables says; the exact factor where it is a known one."""
    number = case.num_replicas
    figures = f"ratio {factor:.9g} with cosine 1, at N = {number}"
    if np.isclose(factor, 1, rtol=case.near):
        return 1.0, []
    if np.isclose(factor, number, rtol=case.near):
        twice = reductions.reduced_before(case)
        if twice:
            return float(number), [twice]
        return float(number), [
            case.explanation("loss_summed_over_replicas", figures, case.worst_gradient, observe.LOSS)
        ]
    if np.isclose(factor, 1 / number, rtol=case.near):
        return 1 / number, [case.explanation("loss_divided_twice", figures, case.worst_gradient, observe.LOSS)]
    return None, []


def _dropped(case: Case, weights: Weights) -> Weighting | None:
    """Replicas whose examples enter with weight 0 although they count on one device."""
    actual = weights.fitted()
    if actual is None or not weights.sure:
        return None
    kept = np.abs(actual) > case.near * np.abs(weights.expected)
    lost = weights.counting & ~kept
    if not lost.any() or not (weights.counting & kept).any():
        return None
    missing = [str(replica) for replica, gone in zip(weights.replicas, lost, strict=True) if gone]
    evidence = f"the gradient is the sum without replica {', '.join(missing)}, whose examples enter with weight 0"
    dropped = case.explanation("dropped_replica", evidence, case.worst_gradient)
    factor = weights.factor(weights.expected * kept)
    exact, causes = common_factor(case, factor) if factor is not None else (None, [])
    prediction = None if exact is None else _predicted(weights, weights.expected * kept * exact)
    return Weighting([dropped, *causes], prediction)


def _wrong_shares(case: Case, weights: Weights, base: np.ndarray, how: str) -> list[Explanation]:
    """The mistake behind shares that follow `base` instead of `weights.expected`."""
    sizes = case.batch.sizes
    evidence = (
        f"each replica's mean weighs {how}: {_listed(base)}; on one device the same examples weigh"
        f" {_listed(weights.expected / weights.expected.sum())} (shard sizes {sizes})"
    )
    shares = np.array(weights.sizes) / sum(weights.sizes)
    if not np.allclose(weights.expected / weights.expected.sum(), shares, rtol=case.near):
        return normaliser_causes(case, weights, evidence)
    uneven = case.explanation("uneven_batch_weighting", evidence, case.worst_gradient, observe.LOSS)
    if 0 not in sizes:
        return [uneven]
    empty = case.explanation("empty_replica", evidence, case.worst_gradient, observe.LOSS)
    # Where all others are even, replicas without examples are the whole trouble.
    return [empty, uneven] if len({size for size in sizes if size}) == 1 else [uneven]


def _listed(numbers: np.ndarray) -> str:
    return "[" + ", ".join(f"{number:.4g}" for number in numbers) + "]"
