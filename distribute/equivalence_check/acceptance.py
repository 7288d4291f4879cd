"""Differences that the user knows and wants: a failed check becomes accepted only if nothing else is wrong in it."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from ..cause_rules.state import moving_statistics
from ..diagnosis import Diagnosis
from ..report import Check
from . import checks, variables
from .compare import compared
from .judgement import Findings
from .tolerances import Tolerance
from .trial import Trial

_STATE_AND_SYNC = {"state_equivalence", "replica_sync"}
_GRADIENT_ON = {"gradient_equivalence", "update_equivalence", "state_equivalence"}
_EXPLAINS = {
    "unsynchronized_variable": _STATE_AND_SYNC,
    "moving_statistics_not_aggregated": _STATE_AND_SYNC,
    "learning_rate_scaling": {"update_equivalence", "state_equivalence"},
    "metric_aggregation": {"metrics"},
}
"""The parts in which a cause shows; one that is not listed shows in the gradient and in all that follows from it."""


def accepted_checks(
    trial: Trial, found: Findings, diagnosis: Diagnosis, accept: Sequence[str], row: Tolerance
) -> list[Check]:
    """The checks of one batch; those that the accepted causes explain to the last digit are marked so."""
    wanted = set(accept) & set(diagnosis.causes)
    if not wanted:
        return found.checks
    explained = _explained(trial, found, diagnosis, wanted, row)
    barred = {part for cause in diagnosis.causes if cause not in wanted for part in _EXPLAINS.get(cause, _GRADIENT_ON)}
    return [
        _marked(check, wanted) if check.name in explained and _part(check) not in barred else check
        for check in found.checks
    ]


def _part(check: Check) -> str:
    return check.name.split("/")[0].split("@")[0]


def _marked(check: Check, wanted: set[str]) -> Check:
    why = f"passes once {' and '.join(sorted(wanted))} is taken out; {check.detail}"
    return dataclasses.replace(check, status="accepted", detail=why)


def _explained(trial: Trial, found: Findings, diagnosis: Diagnosis, wanted: set[str], row: Tolerance) -> set[str]:
    """The names of the failed checks that are right but for the accepted causes."""
    failed = {check.name: _part(check) for check in found.checks if check.status == "failed"}
    gradient = not found.failed("gradient") or _gradient_explained(found, diagnosis, wanted, row)
    rate = diagnosis.update_ratio if "learning_rate_scaling" in wanted else None
    update = gradient and _update_explained(trial, found, row, rate or 1.0)
    # Right communication means: what is left is what each replica does with its own shard.
    replayed = _replayed(found)
    excused = _excused(trial, found, wanted)
    parts = {"gradient_equivalence"} if gradient else set()
    parts |= {"update_equivalence"} if update else set()
    if gradient and replayed and _right_without(found, "state", excused, row):
        trained = {slot.key for slot in trial.slots if slot.role == variables.TRAINABLE} if update else set()
        parts |= {"state_equivalence"} if _right_without(found, "saved", excused | trained, row) else set()
    parts |= {"replica_sync"} if replayed and set(found.apart) <= excused else set()
    names = {name for name, part in failed.items() if part in parts}
    metrics = {name for name, part in failed.items() if part == "metrics"}
    if "metric_aggregation" in wanted:
        return names | metrics
    by_statistics = metrics and gradient and replayed and "local_batch_statistics" in wanted
    return names | (metrics & _right_without_statistics(trial, found, row) if by_statistics else set())


def _excused(trial: Trial, found: Findings, wanted: set[str]) -> set[str]:
    """Variables that the accepted causes may change, besides those that are trained."""
    moving = moving_statistics(trial)
    excused = moving if wanted & {"local_batch_statistics", "moving_statistics_not_aggregated"} else set()
    trained = {slot.key for slot in trial.slots if slot.role == variables.TRAINABLE}
    return excused | (set(found.apart) - moving - trained if "unsynchronized_variable" in wanted else set())


def _right_without(found: Findings, part: str, excused: set[str], row: Tolerance) -> bool:
    """Whether every other variable of this check is right."""
    comparison = found.judged[part].comparison if found.failed(part) else None
    others = [one.residual for one in comparison.differences if one.key not in excused] if comparison else []
    return all(residual <= row.relative for residual in others)


def _right_without_statistics(trial: Trial, found: Findings, row: Tolerance) -> set[str]:
    """Metrics that agree once no layer takes statistics of its batch: those were off for that reason alone."""
    try:
        pair = trial.without_batch_statistics().pair(found.pair.batch)
    except Exception:  # noqa: BLE001 - a program that cannot run that way keeps its failed metrics
        return set()
    if not pair.candidate:
        return set()
    checked = checks.output_checks(found.pair.batch.suffix, pair.candidate[0], pair.reference[0], row)
    return {check.name for check in checked if check.status == "passed"}


def _gradient_explained(found: Findings, diagnosis: Diagnosis, wanted: set[str], row: Tolerance) -> bool:
    """Whether the accepted causes predict the candidate's gradients to the last digit."""
    causes = {cause for cause in diagnosis.causes if cause not in _EXPLAINS}
    if not causes or not causes <= wanted:
        return False
    if diagnosis.prediction is None:
        # What each replica does with its own gradient is one device's code too: replay holds it to that.
        return causes == {"clip_before_all_reduce"} and _replayed(found)
    return compared(found.pair.candidate[0].gradients, diagnosis.prediction, row).observed <= row.relative


def _replayed(found: Findings) -> bool:
    """Whether the replicas exchanged what they should have."""
    ran = "communication" in found.judged
    return ran and not found.failed("communication") and not found.failed("communicated state")


def _update_explained(trial: Trial, found: Findings, row: Tolerance, rate: float) -> bool:
    """Whether each step's update is what the reference's optimizer makes of the candidate's gradients.

    `rate` is the factor of an accepted learning rate, exact to what float32 holds.
    """
    evidence = found.pair.candidate
    replayed = trial.optimizer_replay([one.applied for one in evidence], rate)
    if replayed is None:
        return False
    slots = checks.with_role(trial.slots, variables.TRAINABLE)
    start = found.pair.reference[0].before
    expected = {slot.key: replayed[slot.key][0] - start[slot.key][0] for slot in slots}
    slack = checks.update_slack(start, slots, len(evidence))
    actual = checks.updates(evidence[-1], slots, evidence[0].before)
    return compared(actual, expected, row, slack=slack, common_ratio=False).observed <= row.relative


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
