"""Names the mistake behind failed checks, with the numbers that it rests on; where none fits, nothing is named.

Identifiers are those of `distribute.causes`. Each module of `distribute.cause_rules` looks for one group of them; the
order here is that of certainty: what would make later evidence meaningless comes first.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from .cause_rules import outcomes, parts, reductions, state, statistics, terms
from .cause_rules.case import Case
from .cause_rules.weighting import Weighting, common_factor, weighting
from .causes import Explanation
from .equivalence_check.judgement import Findings
from .equivalence_check.tolerances import Tolerance
from .equivalence_check.trial import Trial


@dataclass
class Diagnosis:
    """What one batch shows.

    Attributes:
      explanations: the causes, most certain first.
      prediction: the gradient that the causes predict, by variable; None where they predict none.
      update_ratio: by which factor the update is off what the optimizer makes of its gradients; None for no factor.
    """

    explanations: list[Explanation] = field(default_factory=list)
    prediction: Mapping[str, np.ndarray] | None = None
    update_ratio: float | None = None

    @property
    def causes(self) -> list[str]:
        """Their identifiers."""
        return list(dict.fromkeys(explanation.cause for explanation in self.explanations))


def diagnose(trial: Trial, found: Findings, row: Tolerance) -> Diagnosis:
    """The causes behind the failed checks of one batch."""
    if not any(check.status == "failed" for check in found.checks):
        return Diagnosis()
    case = Case(trial, found)
    if found.pair.error is not None or not found.pair.candidate:
        return Diagnosis(_failed_run(case))
    not_finite = outcomes.not_finite(case)
    if not_finite:
        return Diagnosis(not_finite)
    missing = reductions.missing_all_reduce(case)
    gradient = Weighting([]) if missing else _gradient(case)
    return Diagnosis(
        [
            *missing,
            *gradient.explanations,
            *state.diverged_state(case),
            *outcomes.scaled_update(case, row),
            *(outcomes.reported_not_finite(case) or outcomes.wrong_metrics(case)),
        ],
        gradient.prediction,
        outcomes.update_ratio(case, row),
    )


def _failed_run(case: Case) -> list[Explanation]:
    """An empty replica, where the step runs once every replica has examples."""
    sizes = case.batch.sizes
    if 0 not in sizes or not case.same_shards:
        return []
    evidence = f"the replicas raised {type(case.found.pair.error).__name__}, one device did not; shard sizes {sizes}"
    return [Explanation("empty_replica", evidence)]


def _gradient(case: Case) -> Weighting:
    """Why the gradient is wrong although all replicas applied the same one."""
    if not case.found.failed("gradient") or case.found.gradients is None:
        return Weighting([])
    clipped = reductions.clipped(case)
    if clipped:
        return Weighting(clipped)
    lost = reductions.dropped(case)
    if lost:
        return Weighting(lost)
    weights = case.weights
    by_weight = weighting(case, weights) if weights is not None else Weighting([])
    if by_weight.explanations:
        # Weights that nothing but a fit speaks for may be those of statistics.
        shown = [] if weights and weights.sure else statistics.local_statistics(case, weights)
        return Weighting([*by_weight.explanations, *shown], by_weight.prediction)
    term = terms.regularizer(case)
    if term is not None:
        rest = weighting(case, term[1]) if term[1] is not None else Weighting([])
        return Weighting([term[0], *rest.explanations], rest.prediction)
    # Where the step communicates within its gradient (synchronised statistics) a common factor shows all the same, and
    # other weights once the statistics are taken out.
    by_weight = _common_factor(case) or _without_statistics(case) or by_weight
    shown = [*by_weight.explanations, *statistics.local_statistics(case, weights)]
    return Weighting(shown, by_weight.prediction) if shown else Weighting(parts.in_parts(case))


def _without_statistics(case: Case) -> Weighting | None:
    """What the weights say once layers with batch statistics are in inference mode."""
    frozen = case.without_statistics()
    if frozen is None or frozen.weights is None:
        return None
    found = weighting(frozen, frozen.weights)
    return Weighting(found.explanations) if found.explanations else None


def _common_factor(case: Case) -> Weighting | None:
    comparison = case.found.gradients
    if comparison is None:
        return None
    strong = max((one.norm for one in comparison.differences), default=0.0) * 1e-9
    shown = [one for one in comparison.differences if one.norm > strong]
    # Without a ratio or cosine a gradient is zero: NaN is near to nothing.
    ratios = np.array([one.ratio for one in shown], np.float64)
    cosines = np.array([one.cosine for one in shown], np.float64)
    if not shown or not np.allclose(ratios, ratios[0], rtol=case.near) or not np.allclose(cosines, 1, rtol=case.near):
        return None
    exact, explanations = common_factor(case, float(ratios[0]))
    if exact is None:
        return None
    prediction = {key: exact * copies[0] for key, copies in case.reference.gradients.items()}
    return Weighting(explanations, prediction)
