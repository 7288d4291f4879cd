"""Turns two runs into checks: what is compared, what is allowed, and the words that say so."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..report import Check, Status
from . import variables
from .compare import Comparison, Difference
from .evidence import Evidence
from .tolerances import RATIO_ROUNDING, TOLERANCES, Tolerance
from .variables import Slot

Reference = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Accuracy:
    """How far one variable is from the arbiter's result, relative L2.

    Attributes:
      distance: the candidate's.
      reference: the single-device run's own, in the same dtype.
      allowed: the greatest distance that passes.
    """

    distance: float
    reference: float
    allowed: float


@dataclass(frozen=True)
class Judged:
    """A check with the comparison that it rests on, and each variable's accuracy where that is what was judged."""

    check: Check
    comparison: Comparison | None = None
    accuracy: Mapping[str, Accuracy] = field(default_factory=dict)

    @property
    def failed(self) -> bool:
        """Whether the check failed."""
        return self.check.status == "failed"


def with_role(slots: Sequence[Slot], *roles: str) -> list[Slot]:
    """The slots that are there for one of these purposes."""
    return [slot for slot in slots if slot.role in roles]


def first_copies(values: Mapping[str, Sequence[np.ndarray]]) -> dict[str, np.ndarray]:
    """Replica 0's values."""
    return {key: copies[0] for key, copies in values.items() if copies}


def updates(evidence: Evidence, slots: Sequence[Slot], start: Any = None) -> dict[str, list[np.ndarray]]:
    """New value minus old, on each replica; from `start` where several steps are meant."""
    before = start or evidence.before
    return {
        slot.key: [
            new - before[slot.key][min(k, len(before[slot.key]) - 1)] for k, new in enumerate(evidence.after[slot.key])
        ]
        for slot in slots
    }


def state_values(
    evidence: Evidence, start: Mapping[str, Sequence[np.ndarray]], slots: Sequence[Slot]
) -> dict[str, list[np.ndarray]]:
    """Variables after the step as the program reads them, as if they had started where the reference's did."""
    found = {}
    for slot in slots:
        before, after = evidence.before[slot.key], evidence.after[slot.key]
        if variables.on_read(slot):
            before, after = ([variables.aggregated(slot.variable, copies)] for copies in (before, after))
        found[slot.key] = [
            variables.from_start(value, own, start[slot.key][0]) for value, own in zip(after, before, strict=True)
        ]
    return found


def update_slack(before: Mapping[str, Sequence[np.ndarray]], slots: Sequence[Slot], steps: int) -> dict[str, float]:
    """Absolute rounding of an update: the weight it is added to is rounded once per step, in both runs."""
    return {
        slot.key: 4 * steps * TOLERANCES[slot.precision].epsilon * float(np.linalg.norm(before[slot.key][0].ravel()))
        for slot in slots
        if slot.precision in TOLERANCES
    }


def comparison_check(
    name: str, comparison: Comparison, allowed: float, unit: str = "relative L2", ratio: bool = True
) -> Judged:
    """Passed where no variable is further off than `allowed`; `ratio`: whether a common one means something."""
    worst = comparison.worst
    if worst is None:
        return Judged(Check(name, "skipped", detail="there is no such variable in this program"))
    status: Status = "passed" if worst.residual <= allowed else "failed"
    return Judged(Check(name, status, worst.residual, allowed, described(worst, comparison, unit, ratio)), comparison)


def described(worst: Difference, comparison: Comparison, unit: str = "relative L2", ratio: bool = True) -> str:
    """Where it is worst, with both values; the common ratio where one was taken out."""
    text = f"{unit}, worst in {worst.key}"
    if worst.max_abs:
        text += (
            f": greatest absolute difference {worst.max_abs:.3g} at index {worst.index}"
            f" ({worst.actual:.6g} against {worst.expected:.6g} on one device"
            + (f", replica {worst.replica})" if worst.replica else ")")
        )
    count = len(comparison.differences)
    text += f"; {count} variables compared"
    text += f"; common ratio {comparison.measured_ratio:.12g}" if ratio else ""
    if comparison.common_ratio != 1:
        text += f" (within {RATIO_ROUNDING:g} of 1: rounding of 1/N, taken out)"
    return text


def own_accuracy_check(
    name: str, candidate: Comparison, reference: Comparison, row: Tolerance, arbiter: str = "float64"
) -> Judged:
    """Holds a candidate to the reference's own distance from the arbiter, variable by variable."""
    if candidate.worst is None:
        return Judged(Check(name, "skipped", detail="there is no such variable in this program"))
    own = reference.by_key()
    pooled = _pooled(reference)
    allowed = {
        one.key: row.multiple * max(own[one.key].residual, pooled, row.own_distance) for one in candidate.differences
    }
    accuracy = {
        one.key: Accuracy(one.residual, own[one.key].residual, allowed[one.key]) for one in candidate.differences
    }
    worst = max(candidate.differences, key=lambda one: _excess(one.residual, allowed[one.key]))
    limit = allowed[worst.key]
    status: Status = "passed" if worst.residual <= limit else "failed"
    detail = (
        f"relative L2 from the {arbiter} result, worst in {worst.key};"
        f" the single-device run is {own[worst.key].residual:.2g} off ({row.multiple:g} times that is allowed)"
    )
    return Judged(Check(name, status, worst.residual, limit, detail), candidate, accuracy)


def _pooled(comparison: Comparison) -> float:
    total = np.sqrt(sum(one.norm**2 for one in comparison.differences))
    finite = [one.residual * one.norm for one in comparison.differences if np.isfinite(one.residual)]
    return float(np.sqrt(np.sum(np.square(finite))) / total) if total else 0.0


def _excess(observed: float, allowed: float) -> float:
    return float("inf") if np.isnan(observed) or not allowed else observed / allowed


def sync_check(
    suffix: str, after: Mapping[str, Sequence[np.ndarray]], slots: Sequence[Slot]
) -> tuple[Check, list[str]]:
    """All replicas hold the same variables, bit for bit."""
    name = f"replica_sync{suffix}"
    judged = [
        slot for slot in slots if slot.role not in (variables.METRIC, variables.SEED) and not variables.combined(slot)
    ]
    apart = [slot.key for slot in judged if not alike(after[slot.key])]
    replicas = max(map(len, after.values()), default=0)  # a variable from outside of the scope has one copy
    if replicas <= 1:
        return Check(name, "skipped", detail="there is one replica only"), []
    if not apart:
        return Check(name, "passed", 0.0, 0.0, f"{len(judged)} variables are the same on {replicas} replicas"), []
    values = {key: " ".join(f"{copy.ravel()[0]:.6g}" for copy in after[key]) for key in apart[:1]}
    detail = (
        f"{len(apart)} of {len(judged)} variables differ between replicas: {_listed(apart)};"
        f" first element of {apart[0]} by replica: {values[apart[0]]}"
    )
    return Check(name, "failed", float(len(apart)), 0.0, detail), apart


def alike(copies: Sequence[np.ndarray]) -> bool:
    """Whether all replicas hold the same, bit for bit."""
    return all(copy.tobytes() == copies[0].tobytes() for copy in copies[1:])


def _listed(names: Sequence[str], most: int = 4) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def output_checks(suffix: str, candidate: Evidence, reference: Evidence, row: Tolerance) -> list[Check]:
    """The scalars that the step returned, reduced in every honest way, and the Keras metrics by `result()`."""
    allowed = max(RATIO_ROUNDING, row.relative)
    checks = []
    for name, expected in reference.metrics.items():
        actual = candidate.metrics.get(name, float("nan"))
        checks.append(_metric_check(f"metrics/{name}{suffix}", actual, expected, allowed))
    for name, expected_copies in reference.outputs.items():
        if name not in reference.metrics:
            expected = float(expected_copies[0])
            checks.append(_reduced_check(f"metrics/{name}{suffix}", candidate, name, expected, allowed))
    if f"metrics/loss{suffix}" not in {check.name for check in checks}:
        checks.append(Check(f"metrics/loss{suffix}", "skipped", detail="the step returned no scalar 'loss'"))
    return checks


def _metric_check(name: str, actual: float, expected: float, allowed: float) -> Check:
    off = _relative(actual, expected)
    detail = f"relative difference of result(): {actual:.9g} on the replicas, {expected:.9g} on one device"
    return Check(name, "passed" if off <= allowed else "failed", off, allowed, detail)


def _reduced_check(name: str, candidate: Evidence, output: str, expected: float, allowed: float) -> Check:
    copies = [float(value) for value in candidate.outputs.get(output, [])]
    sizes = list(candidate.shard_sizes)
    readings = {"sum": sum(copies), "mean": float(np.mean(copies)) if copies else float("nan")}
    if len(copies) == len(sizes) and any(sizes):
        filled = [(size, value) for size, value in zip(sizes, copies, strict=True) if size]
        readings["example-weighted mean"] = sum(size * value for size, value in filled) / sum(sizes)
    how, actual = min(readings.items(), key=lambda item: _nan_last(_relative(item[1], expected)))
    off = _relative(actual, expected)
    detail = f"relative difference of the {how} over replicas: {actual:.9g}, {expected:.9g} on one device"
    return Check(name, "passed" if off <= allowed else "failed", off, allowed, detail)


def _relative(actual: float, expected: float) -> float:
    if actual == expected or (np.isnan(actual) and np.isnan(expected)):
        return 0.0
    return abs(actual - expected) / max(abs(expected), 1e-12)


def _nan_last(value: float) -> float:
    return float("inf") if np.isnan(value) else value
