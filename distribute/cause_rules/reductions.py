"""Causes that show in what happens to each replica's gradient on its way into the sum."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from ..causes import Explanation
from ..equivalence_check import observe
from ..equivalence_check.checks import alike
from ..equivalence_check.evidence import Evidence
from .case import NEAR, Case

PerReplica = Mapping[str, Sequence[np.ndarray]]
Place = tuple[str, int]
"""A variable and a replica."""

Pair = tuple[Place, np.ndarray, np.ndarray]
"""A gradient before and after, flat."""


def missing_all_reduce(case: Case) -> list[Explanation]:
    """Replicas that hold different weights, because each one applied a gradient of its own."""
    own = with_own_gradient(case)
    if not own:
        return []
    evidence = f"{len(own)} of {len(case.trained)} trained variables got another gradient on each replica"
    local = case.candidate.local.get(own[0])
    by_optimizer = case.reference.gradient_source == observe.APPLIED
    if by_optimizer and local is not None and own[0] in case.reference.gradients and len(local) == case.num_replicas:
        expected = case.reference.gradients[own[0]][0]
        if local[0].shape == expected.shape:
            off = float(np.linalg.norm(np.sum(local, axis=0) - expected) / (np.linalg.norm(expected) or 1))
            evidence += f"; the sum of the replicas' own gradients of {own[0]} is {off:.2g} off the single device's"
    return [case.explanation("missing_all_reduce", evidence, own[0], observe.TAPE)]


def with_own_gradient(case: Case) -> list[str]:
    """Trained variables that differ between replicas, each of which took another gradient.

    What no optimizer applies although another one is there, such as a discriminator that the step updates by hand
    beside a generator's optimizer, is known by the gradient of its tape.
    """
    taken = {**case.candidate.local, **case.candidate.gradients}
    apart = [key for key in case.found.apart if key in case.trained and key in taken and not alike(taken[key])]
    if case.candidate.gradient_source == observe.APPLIED:
        return apart
    # Without an optimizer of Keras' the update stands for the gradient: it may differ after a reduction, too.
    reduced = case.trial.candidate.reductions() if apart else {}
    return [key for key in apart if not reduced.get(key, {}).get("step")]


def dropped(case: Case) -> list[Explanation]:
    """The optimizer's own sum is that of all replicas' gradients but one, which need not be the same one everywhere."""
    if not case.found.failed("communication"):
        return []
    fed, applied = case.candidate.fed, case.candidate.gradients
    lost: dict[str, int] = {}
    for key in fed.keys() & applied.keys():
        parts, total = np.array(fed[key], np.float64), applied[key][0]
        if len(parts) != case.num_replicas or parts[0].shape != total.shape:
            return []
        if _off(parts.sum(axis=0), total) > NEAR:
            missing = [k for k in range(len(parts)) if _off(parts.sum(axis=0) - parts[k], total) <= NEAR]
            if not missing:
                return []
            lost[key] = missing[0]
    if not lost:
        return []
    key = case.worst_gradient if case.worst_gradient in lost else min(lost)
    evidence = (
        f"what the optimizer applies to {key} is the sum of the replicas' gradients without replica {lost[key]}'s;"
        f" {len(lost)} of {len(applied)} variables lose one"
    )
    return [case.explanation("dropped_replica", evidence, key)]


def _off(value: np.ndarray, expected: np.ndarray) -> float:
    distance = float(np.linalg.norm((value - expected).ravel()))
    return distance / (float(np.linalg.norm(expected.ravel())) or 1.0)


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
    """Gradients that change, other than by one factor, on each replica before they are summed."""
    if not case.found.failed("gradient"):
        return []
    shown = _clipped_in(case.candidate)
    if shown:
        (key, replica), share, kind = shown
        where, others = f"on replica {replica}", "others by another factor"
    elif not _changed_in(case.candidate) and (shown := _clipped_in(case.reference) or _clipped_as_a_whole(case)):
        (key, _), share, kind = shown
        where, others = "on one device", "and on no replica, since each one's own part of it is smaller"
    else:
        return []
    evidence = (
        f"before the sum over replicas the gradient of {key} shrinks to {share:.3g} of its norm {where}, {others}"
    )
    return [case.explanation("clip_before_all_reduce", evidence, key, kind)]


def _clipped_in(run: Evidence) -> tuple[Place, float, str] | None:
    """Where a gradient shrank most, and whether the optimizer or the step itself clipped it."""
    by_optimizer = _changed(run.handed, run.fed)
    if by_optimizer:
        return *by_optimizer, observe.OPTIMIZER
    by_step = _changed(run.local, run.handed)
    if by_step and _is_clipping(list(_pairs(run.local, run.handed))):
        return *by_step, observe.CLIP
    return None


def _changed_in(run: Evidence) -> bool:
    return bool(_changed(run.handed, run.fed) or _changed(run.local, run.handed))


def _clipped_as_a_whole(case: Case) -> tuple[Place, float, str] | None:
    """One factor for all variables on one device, as clipping by the global norm gives, and another on replicas."""
    reference, candidate = case.reference, case.candidate
    for before, after, kind in (("handed", "fed", observe.OPTIMIZER), ("local", "handed", observe.CLIP)):
        own = _factor(list(_pairs(getattr(reference, before), getattr(reference, after))))
        common = _factor(list(_pairs(getattr(candidate, before), getattr(candidate, after))))
        if own is None or common is None or not common:
            continue
        share = own / common
        # A gradient that the step multiplies by the number of replicas is no clipped one.
        if share < 1 - NEAR and not np.isclose(share, 1 / case.num_replicas, rtol=NEAR):
            return (case.worst_gradient, 0), share, kind
    return None


def _factor(pairs: Sequence[Pair]) -> float | None:
    """By what all gradients were multiplied; None where that is not all that happened to them."""
    size = sum(float(np.vdot(a, a)) for _, a, _ in pairs)
    if not size:
        return None
    common = sum(float(np.vdot(a, b)) for _, a, b in pairs) / size
    alone = all(np.linalg.norm(b - common * a) <= NEAR * np.linalg.norm(b) for _, a, b in pairs)
    return common if alone else None


def _changed(before: PerReplica, after: PerReplica) -> tuple[Place, float] | None:
    """Where a gradient shrank most next to the others; None where all changed by one factor, such as a loss scale."""
    pairs = list(_pairs(before, after))
    if not any(a.any() for _, a, _ in pairs) or _factor(pairs) is not None:
        return None
    ratios = {place: float(np.linalg.norm(b) / np.linalg.norm(a)) for place, a, b in pairs if a.any()}
    place = min(ratios, key=lambda one: ratios[one])
    return place, ratios[place]


def _is_clipping(pairs: Sequence[Pair]) -> bool:
    """Whether what became of the gradients is what clipping by norm, or by value, makes of them."""
    return all(_parallel(a, b) for _, a, b in pairs) or _is_clipped_by_value(pairs)


def _parallel(before: np.ndarray, after: np.ndarray) -> bool:
    size = float(np.vdot(before, before))
    factor = float(np.vdot(before, after)) / size if size else 0.0
    return factor >= 0 and bool(np.linalg.norm(after - factor * before) <= NEAR * np.linalg.norm(after))


def _is_clipped_by_value(pairs: Sequence[Pair]) -> bool:
    before = np.concatenate([a for _, a, _ in pairs])
    after = np.concatenate([b for _, _, b in pairs])
    bound = float(np.abs(after).max(initial=0.0))
    free = (np.abs(after) < bound * (1 - NEAR)) & (before != 0)
    factor = float(np.median(after[free] / before[free])) if free.any() else np.inf
    with np.errstate(invalid="ignore"):  # infinity times zero, where every other element was clipped
        expected = np.clip(np.nan_to_num(before * factor), -bound, bound)
    return factor > 0 and bool(np.allclose(after, expected, rtol=NEAR, atol=NEAR * bound))


def _pairs(before: PerReplica, after: PerReplica) -> Iterator[Pair]:
    for key in sorted(before.keys() & after.keys()):
        for replica, (one, two) in enumerate(zip(before[key], after[key], strict=False)):
            if one.shape == two.shape:
                yield (key, replica), one.astype(np.float64).ravel(), two.astype(np.float64).ravel()
