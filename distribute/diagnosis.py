"""Names the mistake behind failed checks, where evidence is at hand; where none fits, nothing is named.

Identifiers and signatures are those of the table in the design; each function below looks for one group of them.
Not told apart yet: regularizer_per_replica, sample_weight_mean_per_replica,
masked_mean_per_replica, loss_scale_per_replica.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from distribute.equivalence_check import variables
from distribute.equivalence_check.judgement import Findings
from distribute.equivalence_check.runs import Evidence
from distribute.equivalence_check.trial import Trial
from distribute.equivalence_check.weights import Weights, weights_of

CAUSES = (
    "loss_summed_over_replicas",
    "loss_divided_twice",
    "missing_all_reduce",
    "double_all_reduce",
    "clip_before_all_reduce",
    "uneven_batch_weighting",
    "empty_replica",
    "regularizer_per_replica",
    "local_batch_statistics",
    "moving_statistics_not_aggregated",
    "sample_weight_mean_per_replica",
    "masked_mean_per_replica",
    "identical_randomness",
    "replicated_input",
    "dropped_replica",
    "unsynchronized_variable",
    "metric_aggregation",
    "learning_rate_scaling",
    "loss_scale_per_replica",
    "non_finite",
    "irreproducible_reference",
)

_NEAR = 1e-6
"""Two figures this close are the same one: weights and ratios are exact in float64 up to Keras' rounded 1/N."""


@dataclass
class Diagnosis:
    """What one batch shows.

    Attributes:
      causes: identifiers, most certain first.
      weights: with which weight each shard entered.
      alone: the single-device step on each shard by itself.
    """

    causes: list[str] = field(default_factory=list)
    weights: Weights | None = None
    alone: list[Evidence] = field(default_factory=list)


def diagnose(trial: Trial, found: Findings) -> Diagnosis:
    """The causes behind the failed checks of one batch."""
    result = Diagnosis()
    if not any(check.status == "failed" for check in found.checks):
        return result
    if found.pair.error is not None or not found.pair.candidate:
        result.causes = ["empty_replica"] if 0 in found.pair.batch.sizes else []
        return result
    if found.failed("gradient"):
        result.alone = trial.shards_alone(found.pair.batch)
        reference, candidate = found.pair.reference[0], found.pair.candidate[0]
        result.weights = weights_of(reference, candidate, result.alone, found.pair.batch.sizes)
    result.causes = _unique(
        _not_finite(found)
        or [
            *_diverged_weights(found, trial),
            *(_clipped(found) or _weighting(found, trial, result.weights)),
            *_diverged_state(found, trial),
            *_update_only(found),
            *_metric_only(found),
        ]
    )
    return result


def _unique(names: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(names))


def _not_finite(found: Findings) -> list[str]:
    candidate, reference = found.pair.candidate[0], found.pair.reference[0]
    if _finite(candidate) and _finite(reference):
        return []
    # Mean of nothing is NaN: a replica without examples is the nearer explanation.
    empty = 0 in found.pair.batch.sizes and _finite(reference)
    return ["empty_replica", "non_finite"] if empty else ["non_finite"]


def _finite(evidence: Evidence) -> bool:
    values = [*evidence.gradients.values(), *evidence.after.values()]
    return all(np.isfinite(copy).all() for copies in values for copy in copies if copy.dtype.kind in "fc")


def _diverged_weights(found: Findings, trial: Trial) -> list[str]:
    """Replicas that hold different weights did not share their gradients."""
    trained = {slot.key for slot in trial.slots if slot.role == variables.TRAINABLE}
    if not trained & set(found.apart):
        return []
    applied = found.pair.candidate[0].gradients
    shared = [key for key in trained & set(found.apart) if key in applied and not _same(applied[key])]
    return ["missing_all_reduce"] if shared else ["unsynchronized_variable"]


def _same(copies: Sequence[np.ndarray]) -> bool:
    return all(np.array_equal(copy, copies[0], equal_nan=True) for copy in copies[1:])


def _clipped(found: Findings) -> list[str]:
    """An optimizer that changes each replica's gradients, other than by one factor, before they are summed."""
    candidate = found.pair.candidate[0]
    pairs = [
        (given.astype(np.float64), taken.astype(np.float64))
        for key in candidate.handed.keys() & candidate.fed.keys()
        for given, taken in zip(candidate.handed[key], candidate.fed[key], strict=False)
        if given.shape == taken.shape
    ]
    size = sum(float(np.vdot(given, given)) for given, _ in pairs)
    if not found.failed("gradient") or not size:
        return []
    factor = sum(float(np.vdot(given, taken)) for given, taken in pairs) / size
    alike = all(np.linalg.norm(taken - factor * given) <= _NEAR * np.linalg.norm(taken) for given, taken in pairs)
    return [] if alike else ["clip_before_all_reduce"]


def _local_statistics(found: Findings, trial: Trial, weights: Weights) -> list[str]:
    """A reference that is no sum over shards, where a layer, or what it keeps, says that statistics are why."""
    layers = trial.reference.subject.batch_normalizations()
    taken = any(not layer.synchronized for layer in layers) or found.failed("state")
    return ["local_batch_statistics"] if taken and not weights.additive else []


def _weighting(found: Findings, trial: Trial, weights: Weights | None) -> list[str]:
    """A gradient that is right but for the weights of replicas, or for statistics over each shard."""
    comparison = found.gradients
    if not found.failed("gradient") or comparison is None or "missing_all_reduce" in _apart_gradients(found):
        return []
    num_replicas = len(found.pair.batch.shards)
    if weights is None or weights.factors is None:
        # The step communicates within its gradient (synchronised statistics): only a common factor can be told.
        return _common_factor(found, comparison.measured_ratio, num_replicas) if _parallel(found) else []
    factors = weights.factors
    causes = _local_statistics(found, trial, weights)
    dropped = np.abs(factors) < _NEAR
    equal_weight = sum(weights.sizes) / (num_replicas * np.array(weights.sizes))
    if len(set(found.pair.batch.sizes)) > 1 and np.allclose(factors, equal_weight, rtol=_NEAR):
        return [*_for_nothing(found), "uneven_batch_weighting", *causes]
    if np.allclose(factors, factors[0], rtol=_NEAR):
        return [*_common_factor(found, float(factors[0]), num_replicas), *causes]
    if dropped.any() and found.failed("communication"):
        return ["dropped_replica", *causes]
    if np.allclose(factors, equal_weight * factors[0] / equal_weight[0], rtol=_NEAR):
        return [
            "uneven_batch_weighting",
            *_common_factor(found, factors[0] / equal_weight[0], num_replicas),
            *causes,
        ]
    return causes


def _for_nothing(found: Findings) -> list[str]:
    """Whether the sizes are uneven for the sole reason that replicas without examples weigh as much as others."""
    filled = {size for size in found.pair.batch.sizes if size}
    return ["empty_replica"] if 0 in found.pair.batch.sizes and len(filled) == 1 else []


def _apart_gradients(found: Findings) -> list[str]:
    gradients = found.pair.candidate[0].gradients
    return [] if all(_same(copies) for copies in gradients.values()) else ["missing_all_reduce"]


def _parallel(found: Findings) -> bool:
    comparison = found.gradients
    if comparison is None:
        return False
    strong = max((one.norm for one in comparison.differences), default=0.0) * 1e-9
    ratios = [one.ratio for one in comparison.differences if one.ratio is not None and one.norm > strong]
    cosines = [one.cosine for one in comparison.differences if one.cosine is not None and one.norm > strong]
    return bool(ratios) and np.allclose(ratios, ratios[0], rtol=_NEAR) and np.allclose(cosines, 1, rtol=_NEAR)


def _common_factor(found: Findings, factor: float, num_replicas: int) -> list[str]:
    if num_replicas > 1 and np.isclose(factor, num_replicas, rtol=_NEAR):
        return ["double_all_reduce"] if _reduced_before(found) else ["loss_summed_over_replicas"]
    if num_replicas > 1 and np.isclose(factor, 1 / num_replicas, rtol=_NEAR):
        return ["loss_divided_twice"]
    return []


def _reduced_before(found: Findings) -> bool:
    """Whether the optimizer was handed the same gradients on all replicas although their own ones differ."""
    candidate = found.pair.candidate[0]
    handed = [key for key, copies in candidate.handed.items() if len(copies) > 1]
    differing = [key for key in handed if key in candidate.local and not _same(candidate.local[key])]
    return bool(differing) and all(_same(candidate.handed[key]) for key in differing)


def _diverged_state(found: Findings, trial: Trial) -> list[str]:
    """Variables that are not trained and differ between replicas."""
    trained = {slot.key for slot in trial.slots if slot.role == variables.TRAINABLE}
    state = set(found.apart) - trained
    moving = moving_statistics(trial)
    causes = ["moving_statistics_not_aggregated"] if state & moving else []
    optimizer = {slot.key for slot in trial.slots if slot.role == variables.OPTIMIZER}
    if state - moving - (optimizer if trained & set(found.apart) else set()):
        causes.append("unsynchronized_variable")
    return causes


def moving_statistics(trial: Trial) -> set[str]:
    """The keys of the moving mean and variance of BatchNormalization layers."""
    layers = trial.reference.subject.batch_normalizations()
    wanted = {id(v._value) for layer in layers for v in (layer.moving_mean, layer.moving_variance)}
    return {slot.key for slot in trial.slots if id(slot.variable) in wanted}


def _update_only(found: Findings) -> list[str]:
    """Right gradients and a wrong update that is the right one times a number."""
    comparison = found.judged["update"].comparison if "update" in found.judged else None
    if comparison is None or found.failed("gradient") or not found.failed("update") or found.apart:
        return []
    strong = max((one.norm for one in comparison.differences), default=0.0) * 1e-9
    ratios = [one.ratio for one in comparison.differences if one.ratio is not None and one.norm > strong]
    alike = bool(ratios) and np.allclose(ratios, ratios[0], rtol=1e-3)
    num_replicas = len(found.pair.batch.shards)
    scaled = alike and any(
        np.isclose(ratios[0], f, rtol=1e-3) for f in (num_replicas, num_replicas**0.5, 1 / num_replicas)
    )
    return ["learning_rate_scaling"] if scaled else []


def _metric_only(found: Findings) -> list[str]:
    wrong = [check for check in found.others if check.name.startswith("metrics/") and check.status == "failed"]
    right = not found.failed("gradient") and not found.failed("communicated state") and not found.apart
    return ["metric_aggregation"] if wrong and right else []
