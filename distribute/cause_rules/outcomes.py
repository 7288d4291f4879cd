"""Causes that show in what a step makes of right gradients: the update, what it reports, whether it is finite."""

from collections.abc import Mapping, Sequence

import numpy as np

from ..causes import Explanation
from ..equivalence_check import checks, observe, variables
from ..equivalence_check.compare import Comparison, compared
from ..equivalence_check.evidence import Evidence
from ..equivalence_check.tolerances import Tolerance
from .case import Case

_ALIKE = 1e-3  # of the ratios of an update that went through an optimizer


def not_finite(case: Case) -> list[Explanation]:
    """NaN or Inf in one of the runs; a replica without examples is the nearer explanation where there is one."""
    place, at_reference = _first_not_finite(case.candidate), _first_not_finite(case.reference)
    if place is None and at_reference is None:
        return []
    empty = 0 in case.batch.sizes and at_reference is None
    key, replica = place or at_reference or ("", 0)
    where = "on one device" if place is None else f"on replica {replica}"
    evidence = f"first in {key} {where}" + (", and on one device" if place and at_reference else "")
    found = [case.explanation("non_finite", evidence, key, observe.LOSS)]
    if not empty:
        return found
    sizes = f"shard sizes {case.batch.sizes}, and a mean of nothing is NaN: {evidence}"
    return [case.explanation("empty_replica", sizes, key, observe.LOSS), *found]


def _first_not_finite(evidence: Evidence) -> tuple[str, int] | None:
    # A replica's own gradients come first: after the sum all replicas have it.
    for values in (evidence.local, evidence.gradients, evidence.after):
        place = _first_among(values)
        if place:
            return place
    return None


def _first_among(values: Mapping[str, Sequence[np.ndarray]]) -> tuple[str, int] | None:
    for key, copies in values.items():
        for replica, copy in enumerate(copies):
            if copy.dtype.kind in "fc" and not np.isfinite(copy).all():
                return key, replica
    return None


def reported_not_finite(case: Case) -> list[Explanation]:
    """What a replica reports is NaN or Inf although its gradients are not, and one device reports a number."""
    place = _first_among(case.candidate.outputs)
    if place is None or _first_among(case.reference.outputs):
        return []
    name, replica = place
    return [
        case.explanation("non_finite", f"{name} on replica {replica}, its gradients are finite", name, observe.LOSS)
    ]


def scaled_update(case: Case, row: Tolerance) -> list[Explanation]:
    """An update that is the right one for its gradients times a number."""
    ratio = update_ratio(case, row)
    number = case.num_replicas
    if ratio is None or case.found.apart:
        return []
    known = {f"{number}": number, f"sqrt({number})": number**0.5, f"1/{number}": 1 / number}
    fitting = [name for name, factor in known.items() if np.isclose(ratio, factor, rtol=_ALIKE)]
    if not fitting:
        return []
    evidence = (
        f"the update is {fitting[0]} times what the optimizer makes of these gradients on one device ({ratio:.6g})"
    )
    return [case.explanation("learning_rate_scaling", evidence, "", observe.OPTIMIZER)]


def update_ratio(case: Case, row: Tolerance) -> float | None:
    """By which common factor the update is off what the reference's optimizer makes of the same gradients.

    Where the optimizers' own learning rates say the same, their exact ratio.
    """
    if not case.found.failed("update"):
        return None
    comparison = case.found.judged["update"].comparison
    if case.found.failed("gradient"):
        comparison = _against_optimizer(case, row)
    ratio = None if comparison is None else _common_ratio(comparison)
    rates = _ratio_of_rates(case)
    return rates if ratio and rates and np.isclose(ratio, rates, rtol=_ALIKE) else ratio


def _ratio_of_rates(case: Case) -> float | None:
    """The candidate's learning rate by the reference's, where the optimizer keeps it in a variable."""
    rates = [slot.key for slot in case.trial.slots if slot.key.rpartition("/")[2] == "learning_rate"]
    if len(rates) != 1:
        return None
    reference, candidate = (run.after[rates[0]][0] for run in (case.reference, case.candidate))
    return float(candidate / reference) if float(reference) else None


def _against_optimizer(case: Case, row: Tolerance) -> Comparison | None:
    replayed = case.trial.optimizer_replay([case.candidate.applied])
    if replayed is None:
        return None
    slots = checks.with_role(case.trial.slots, variables.TRAINABLE)
    expected = {slot.key: replayed[slot.key][0] - case.reference.before[slot.key][0] for slot in slots}
    return compared(checks.updates(case.candidate, slots), expected, row, common_ratio=False)


def _common_ratio(comparison: Comparison) -> float | None:
    strong = max((one.norm for one in comparison.differences), default=0.0) * 1e-9
    ratios = [one.ratio for one in comparison.differences if one.ratio is not None and one.norm > strong]
    return float(ratios[0]) if ratios and np.allclose(ratios, ratios[0], rtol=_ALIKE) else None


def wrong_metrics(case: Case) -> list[Explanation]:
    """Reported values that no way of reducing makes right, beside gradients that are."""
    found = case.found
    wrong = [check for check in found.others if check.name.startswith("metrics/") and check.status == "failed"]
    if not wrong or found.failed("gradient") or found.failed("communicated state") or found.apart:
        return []
    name = wrong[0].name.removeprefix("metrics/").partition("@")[0]
    return [Explanation("metric_aggregation", f"{name}: {wrong[0].detail}", name)]
