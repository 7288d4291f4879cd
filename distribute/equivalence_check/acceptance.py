"""Differences that the user knows and wants: a failed check becomes accepted only if nothing else is wrong in it."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from distribute.diagnosis import Diagnosis
from distribute.equivalence_check import checks, variables
from distribute.equivalence_check.compare import compared
from distribute.equivalence_check.judgement import Findings
from distribute.equivalence_check.tolerances import Tolerance
from distribute.equivalence_check.trial import Trial
from distribute.equivalence_check.weights import Weights, predicted
from distribute.report import Check

_WEIGHTING = {
    "uneven_batch_weighting",
    "loss_summed_over_replicas",
    "loss_divided_twice",
    "local_batch_statistics",
}
_PER_REPLICA_STATE = {"moving_statistics_not_aggregated", "unsynchronized_variable"}


def accepted_checks(
    trial: Trial, found: Findings, diagnosis: Diagnosis, accept: Sequence[str], row: Tolerance
) -> list[Check]:
    """The checks of one batch; those that the accepted causes explain to the last digit are marked so."""
    wanted = set(accept) & set(diagnosis.causes)
    if not wanted:
        return found.checks
    gradient = not found.failed("gradient") or _gradient_explained(trial, found, diagnosis, wanted, row)
    # Right communication means: what is left is what each replica does with its own shard.
    replayed = not found.failed("communication") and not found.failed("communicated state")
    state = replayed and "communication" in found.judged and bool(wanted)
    explained = {
        "gradient_equivalence": gradient,
        "update_equivalence": gradient and _update_explained(trial, found, row),
        "state_equivalence": gradient and state,
        "replica_sync": state and bool(wanted & _PER_REPLICA_STATE) and _only_state_apart(trial, found),
        "metrics": gradient and state and "local_batch_statistics" in wanted or "metric_aggregation" in wanted,
    }
    return [_marked(check, explained, wanted) for check in found.checks]


def _marked(check: Check, explained: dict[str, bool], wanted: set[str]) -> Check:
    part = check.name.split("/")[0].split("@")[0]
    if check.status != "failed" or not explained.get(part):
        return check
    why = f"passes once {' and '.join(sorted(wanted))} is taken out; {check.detail}"
    return dataclasses.replace(check, status="accepted", detail=why)


def _gradient_explained(trial: Trial, found: Findings, diagnosis: Diagnosis, wanted: set[str], row: Tolerance) -> bool:
    """Whether single-device gradients of the shards, weighted as accepted, are the candidate's."""
    causes = {cause for cause in diagnosis.causes if cause in _WEIGHTING}
    if diagnosis.weights is None or not causes or not causes <= wanted:
        return False
    factors = _factors(diagnosis.weights, causes, len(found.pair.batch.shards))
    expected = predicted(list(diagnosis.weights.expected * factors), diagnosis.alone)
    return compared(found.pair.candidate[0].gradients, expected, row).observed <= row.relative


def _factors(weights: Weights, causes: set[str], num_replicas: int) -> np.ndarray:
    factors = np.ones(len(weights.sizes))
    if "uneven_batch_weighting" in causes:
        factors = factors * sum(weights.sizes) / (num_replicas * np.array(weights.sizes))
    if "loss_summed_over_replicas" in causes:
        factors = factors * num_replicas
    return factors / num_replicas if "loss_divided_twice" in causes else factors


def _update_explained(trial: Trial, found: Findings, row: Tolerance) -> bool:
    """Whether each step's update is what the reference's optimizer makes of the candidate's gradients."""
    evidence = found.pair.candidate
    replayed = trial.optimizer_replay([one.applied for one in evidence])
    if replayed is None:
        return False
    slots = checks.with_role(trial.slots, variables.TRAINABLE)
    start = found.pair.reference[0].before
    expected = {slot.key: replayed[slot.key][0] - start[slot.key][0] for slot in slots}
    slack = checks.update_slack(start, slots, len(evidence))
    actual = checks.updates(evidence[-1], slots, evidence[0].before)
    return compared(actual, expected, row, slack=slack, common_ratio=False).observed <= row.relative


def _only_state_apart(trial: Trial, found: Findings) -> bool:
    trained = {slot.key for slot in trial.slots if slot.role == variables.TRAINABLE}
    return not trained & set(found.apart)


def follow_arbiter(low: Findings, arbiter: Sequence[Check]) -> list[Check]:
    """Checks in a lower precision are accepted with their float64 twins, where they are off by the same amount."""
    twins = {check.name.split("/")[0]: check for check in arbiter if check.name.endswith("/float64")}
    return [_like_twin(check, twins.get(check.name.split("/")[0])) for check in low.checks]


def _like_twin(check: Check, twin: Check | None) -> Check:
    if check.status != "failed" or twin is None or twin.status != "accepted":
        return check
    if check.observed is None or twin.observed is None or not np.isclose(check.observed, twin.observed, rtol=0.05):
        return check
    return dataclasses.replace(check, status="accepted", detail=f"as in float64; {check.detail}")
