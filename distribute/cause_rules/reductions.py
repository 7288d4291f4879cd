"""Causes that show in what happens to each replica's gradient on its way into the sum."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from distribute.cause_rules.case import NEAR, Case, alike
from distribute.causes import Explanation
from distribute.equivalence_check import observe

PerReplica = Mapping[str, Sequence[np.ndarray]]


def missing_all_reduce(case: Case) -> list[Explanation]:
    """Replicas that hold different weights, because each one applied a gradient of its own."""
    apart = case.trained & set(case.found.apart)
    applied = case.candidate.gradients
    own = [key for key in case.found.apart if key in apart and key in applied and not alike(applied[key])]
    if not own:
        return []
    evidence = f"{len(own)} of {len(case.trained)} trained variables got another gradient on each replica"
    local = case.candidate.local.get(own[0])
    if local is not None and own[0] in case.reference.gradients and len(local) == case.num_replicas:
        expected = case.reference.gradients[own[0]][0]
        if local[0].shape == expected.shape:
            off = float(np.linalg.norm(np.sum(local, axis=0) - expected) / (np.linalg.norm(expected) or 1))
            evidence += f"; the sum of the replicas' own gradients of {own[0]} is {off:.2g} off the single device's"
    return [case.explanation("missing_all_reduce", evidence, own[0], observe.TAPE)]


def reduced_before(case: Case) -> Explanation | None:
    """The optimizer was handed the same gradients on all replicas although their own ones differ."""
    candidate = case.candidate
    handed = [key for key, copies in candidate.handed.items() if len(copies) > 1]
    differing = [key for key in handed if key in candidate.local and not alike(candidate.local[key])]
    if not differing or not all(alike(candidate.handed[key]) for key in differing):
        return None
    by_step = case.trial.candidate.reductions()
    counts = by_step.get(differing[0], {})
    evidence = (
        f"ratio {case.num_replicas}: {differing[0]} is reduced {counts.get('step', 1)} time(s) by the step and"
        f" {counts.get('optimizer', 1)} time(s) by the optimizer, once is right"
    )
    return case.explanation("double_all_reduce", evidence, differing[0], observe.REDUCTION)


def clipped(case: Case) -> list[Explanation]:
    """Gradients that shrink, other than by one factor, on each replica before they are summed."""
    if not case.found.failed("gradient"):
        return []
    candidate = case.candidate
    for first, second, kind in (
        (candidate.handed, candidate.fed, observe.OPTIMIZER),
        (candidate.local, candidate.handed, observe.CLIP),
    ):
        shrunk = _shrunk(first, second)
        if shrunk:
            key, replica, share = shrunk
            evidence = (
                f"before the sum over replicas the gradient of {key} on replica {replica} shrinks to {share:.3g} of"
                " its norm, others by another factor"
            )
            location = case.where(kind) or case.where(observe.OPTIMIZER)
            return [Explanation("clip_before_all_reduce", evidence, key, location)]
    return []


def _shrunk(before: PerReplica, after: PerReplica) -> tuple[str, int, float] | None:
    """Where a gradient shrank most, beyond a factor common to all; None where nothing else happened."""
    pairs = list(_pairs(before, after))
    norms = {place: (float(np.linalg.norm(a)), float(np.linalg.norm(b))) for place, a, b in pairs}
    ratios = {place: new / old for place, (old, new) in norms.items() if old > 0}
    if not ratios:
        return None
    common = max(ratios.values())  # a loss scale that was divided out, or 1
    place = min(ratios, key=lambda one: ratios[one])
    if common == 0 or ratios[place] >= common * (1 - NEAR):
        return None
    # Clipping by value turns a gradient, noise that is added makes some elements larger: that is no clipping.
    grown = any((np.abs(b) > np.abs(a) * common * (1 + NEAR)).any() for _, a, b in pairs)
    return None if grown else (*place, ratios[place] / common)


def _pairs(before: PerReplica, after: PerReplica) -> Iterator[tuple[tuple[str, int], np.ndarray, np.ndarray]]:
    for key in sorted(before.keys() & after.keys()):
        for replica, (one, two) in enumerate(zip(before[key], after[key], strict=False)):
            if one.shape == two.shape:
                yield (key, replica), one.astype(np.float64).ravel(), two.astype(np.float64).ravel()
