"""Holds what the runs did against each other: one function per question, each giving a check."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from ..report import Check
from . import checks, variables
from .checks import Judged
from .compare import Comparison, compared, wide
from .evidence import Evidence, Gradient
from .failed_execution import failed_execution
from .sparse_rows import summed, with_other_rows
from .tolerances import RATIO_ROUNDING, Tolerance
from .trial import Pair, Trial

PerReplica = Mapping[str, Sequence[np.ndarray]]

_ROLES = (variables.TRAINABLE, variables.STATE)


@dataclass
class Findings:
    """One batch, judged.

    Attributes:
      pair: both runs.
      judged: by the first part of the check's name, the check and its comparison.
      others: further checks of this batch.
      apart: variables that differ between replicas.
      replay: what each replica would have done with right communication.
      no_replay: why there is none.
      causes: the mistakes behind the failed checks, once they were looked for.
    """

    pair: Pair
    judged: dict[str, Judged] = field(default_factory=dict)
    others: list[Check] = field(default_factory=list)
    apart: list[str] = field(default_factory=list)
    replay: list[Evidence] | None = None
    no_replay: str = "it was not run"
    causes: list[str] = field(default_factory=list)

    @property
    def checks(self) -> list[Check]:
        """All checks of this batch."""
        return [one.check for one in self.judged.values()] + self.others

    @property
    def gradients(self) -> Comparison | None:
        """How far the gradients are apart."""
        found = self.judged.get("gradient")
        return found.comparison if found else None

    def failed(self, part: str) -> bool:
        """Whether that check ran and failed."""
        return part in self.judged and self.judged[part].failed


def judge_pair(trial: Trial, pair: Pair, row: Tolerance) -> Findings:
    """Every question to one batch in the arbiter's dtype, each run held directly against the other."""
    found = Findings(pair)
    suffix, dtype = pair.batch.suffix, trial.dtype
    if pair.error is not None or not pair.candidate:
        found.others = failed_execution(pair.error, pair.batch.sizes, dtype, suffix)
        return found
    found.others.append(Check(f"execution{suffix}", "passed", detail="both runs came to their end"))
    found.judged["gradient"] = gradient_check(f"gradient_equivalence/{dtype}{suffix}", trial, pair, row)
    found.judged["update"] = update_check(f"update_equivalence/{dtype}{suffix}", trial, pair, row, 1)
    found.judged["state"] = state_check(f"state_equivalence/{dtype}{suffix}", trial, pair, row)
    found.judged["saved"] = saved_check(
        f"state_equivalence/saved{suffix}", trial, pair, row, not found.failed("update")
    )
    sync, found.apart = checks.sync_check(suffix, pair.candidate[0].after, trial.candidate.slots)
    found.others.append(sync)
    found.others += checks.output_checks(suffix, pair.candidate[0], pair.reference[0], row)
    if len(pair.candidate) > 1:
        steps = len(pair.candidate)
        found.judged["updates"] = update_check(
            f"update_equivalence/{dtype}/steps_{steps}{suffix}", trial, pair, row, steps
        )
    return found


def gradient_check(name: str, trial: Trial, pair: Pair, row: Tolerance, step: int = 0) -> Judged:
    """The gradients as applied, held to `row.relative`."""
    reference, candidate = pair.reference[step], pair.candidate[step]
    if not reference.gradients:
        detail = "no gradient could be measured: no tape, no optimizer and no returned 'gradients' was seen"
        return Judged(Check(name, "failed", detail=detail))
    slack = None
    if reference.gradient_source not in (candidate.gradient_source, ""):
        detail = f"{reference.gradient_source!r} on one device, {candidate.gradient_source!r} on the replicas"
        return Judged(Check(name, "failed", detail=f"the gradients come from different places: {detail}"))
    if reference.gradient_source == "the update itself":
        slack = checks.update_slack(reference.before, checks.with_role(trial.slots, variables.TRAINABLE), 1)
    comparison = compared(candidate.gradients, checks.first_copies(reference.gradients), row, slack=slack)
    return checks.comparison_check(name, comparison, row.relative)


def update_check(name: str, trial: Trial, pair: Pair, row: Tolerance, steps: int) -> Judged:
    """New values minus old; where rounding was amplified, held to the reference's optimizer on the same gradients."""
    direct = _update_comparison(trial, pair, row, steps)
    allowed = row.relative if steps == 1 else row.later_steps
    judged = checks.comparison_check(name, direct, allowed)
    if not judged.failed or not _same_gradients(pair, row, steps):
        return judged
    again = _held_to_optimizer(name, trial, pair, row, steps)
    if again is None:
        return judged
    if again.failed:
        return _with_note_on_rows(judged, pair)
    note = (
        f"{again.check.detail}; held against the reference's own optimizer fed with the candidate's gradients,"
        f" since it amplifies rounding: {direct.observed:.2g} between the two runs"
    )
    return Judged(Check(name, "passed", again.check.observed, again.check.allowed, note), again.comparison)


def _held_to_optimizer(name: str, trial: Trial, pair: Pair, row: Tolerance, steps: int) -> Judged | None:
    """The candidate's update against what the reference's optimizer makes of the candidate's gradients.

    What that optimizer makes of the same gradients with their last digits changed says how far it amplifies rounding.
    Where replicas hold other rows of a sparse gradient than one device, it gets the sum of each index' rows: an
    optimizer that takes several rows for one index otherwise is not excused.
    """
    slots = checks.with_role(trial.slots, variables.TRAINABLE)
    gradients = [
        {**one.applied, **{key: summed(one.applied[key]) for key in with_other_rows(one.applied, other.applied)}}
        for one, other in zip(pair.candidate[:steps], pair.reference, strict=False)
    ]
    replayed = trial.optimizer_replay(gradients)
    if replayed is None:
        return None
    shaken = trial.optimizer_replay([_last_digits_changed(one, row) for one in gradients]) or replayed
    start = pair.reference[0].before
    slack = checks.update_slack(start, slots, steps)
    for slot in slots:
        moved = wide(shaken[slot.key][0]) - replayed[slot.key][0]
        slack[slot.key] += row.multiple * float(np.linalg.norm(moved.ravel()))
    expected = {slot.key: replayed[slot.key][0] - start[slot.key][0] for slot in slots}
    actual = checks.updates(pair.candidate[steps - 1], slots, pair.candidate[0].before)
    return checks.comparison_check(name, compared(actual, expected, row, slack=slack, common_ratio=False), row.relative)


def _with_note_on_rows(judged: Judged, pair: Pair) -> Judged:
    """The failed check, saying for which embeddings the replicas' gradients hold other rows than one device's."""
    named = with_other_rows(pair.candidate[0].applied, pair.reference[0].applied)
    if not named:
        return judged
    detail = (
        f"{judged.check.detail}; the gradient of {named[0]} is sparse and holds other rows for an index than on one"
        " device, with the same sum: some optimizers, Keras' Adam among them, do not add them up before they square"
        " each; make it dense (tf.convert_to_tensor) before apply_gradients"
    )
    return dataclasses.replace(judged, check=dataclasses.replace(judged.check, detail=detail))


def _last_digits_changed(gradients: Mapping[str, Gradient], row: Tolerance) -> dict[str, Gradient]:
    """Each element off by the rounding that a sum of gradients of this size brings."""
    rng = np.random.default_rng(0)
    values = {key: one[0] if isinstance(one, tuple) else one for key, one in gradients.items()}
    total = float(np.sqrt(sum(float(np.sum(np.square(np.abs(value), dtype=np.float64))) for value in values.values())))
    changed: dict[str, Gradient] = {}
    for key, value in values.items():
        size = 4 * row.epsilon * max(float(np.max(np.abs(value), initial=0.0)), row.epsilon * total)
        moved = value + (size * rng.choice((-1.0, 1.0), value.shape)).astype(value.dtype)
        given = gradients[key]
        changed[key] = (moved, given[1]) if isinstance(given, tuple) else moved
    return changed


def _update_comparison(trial: Trial, pair: Pair, row: Tolerance, steps: int) -> Comparison:
    slots = checks.with_role(trial.slots, variables.TRAINABLE)
    start, last = pair.reference[0].before, steps - 1
    return compared(
        checks.updates(pair.candidate[last], slots, pair.candidate[0].before),
        checks.first_copies(checks.updates(pair.reference[last], slots, start)),
        row,
        slack=checks.update_slack(start, slots, steps),
    )


def _same_gradients(pair: Pair, row: Tolerance, steps: int) -> bool:
    """Whether the gradients of all these steps agree; later ones as far as drifting weights allow."""
    for step in range(steps):
        reference, candidate = pair.reference[step], pair.candidate[step]
        comparison = compared(candidate.gradients, checks.first_copies(reference.gradients), row)
        drift = 10 * RATIO_ROUNDING if abs(comparison.measured_ratio - 1) <= RATIO_ROUNDING else 0.0
        allowed = row.relative if step == 0 else max(row.later_steps, drift)
        if not reference.gradients or not comparison.observed <= allowed:
            return False
    return True


def state_check(name: str, trial: Trial, pair: Pair, row: Tolerance) -> Judged:
    """Variables that are not trained, on the replica where they are furthest off."""
    slots = [s for s in checks.with_role(trial.candidate.slots, variables.STATE) if not variables.own_part(s)]
    after, before = pair.reference[0].after, pair.reference[0].before
    slack = checks.update_slack(before, slots, 1)
    actual = checks.state_values(pair.candidate[0], before, slots)
    expected = {slot.key: after[slot.key][0] for slot in slots}
    comparison = compared(actual, expected, row, slack=slack, common_ratio=False)
    return checks.comparison_check(name, comparison, row.relative, ratio=False)


def saved_check(name: str, trial: Trial, pair: Pair, row: Tolerance, right_update: bool) -> Judged:
    """What a checkpoint of the replicas holds, loaded again, against the single device's variables.

    Of a right update the trained variables are held against what the replicas had: how exact an update can be is its
    own check's question, and some optimizers amplify rounding without bound where a gradient is zero.
    """
    roles = checks.with_role(trial.candidate.slots, *_ROLES)
    slots = [slot for slot in roles if slot.floating and slot.key in pair.saved]
    after, own = pair.reference[0].after, pair.candidate[0].after
    expected = {
        slot.key: (own if right_update and slot.role == variables.TRAINABLE else after)[slot.key][0] for slot in slots
    }
    slack = {key: 4 * row.epsilon * float(np.linalg.norm(value.ravel())) for key, value in expected.items()}
    actual = {slot.key: [_saved_from_start(pair, slot)] for slot in slots}
    comparison = compared(actual, expected, row, slack=slack, common_ratio=False)
    judged = checks.comparison_check(name, comparison, row.relative, ratio=False)
    if judged.failed and _saved_what_it_held(pair, slots):
        detail = f"{judged.check.detail}; the file holds what replica 0 held"
        return Judged(Check(name, "failed", judged.check.observed, judged.check.allowed, detail), comparison)
    return judged


def _saved_from_start(pair: Pair, slot: variables.Slot) -> np.ndarray:
    before = pair.candidate[0].before[slot.key]
    own = variables.aggregated(slot.variable, before) if variables.on_read(slot) else before[0]
    return variables.from_start(pair.saved[slot.key], own, pair.reference[0].before[slot.key][0])


def _saved_what_it_held(pair: Pair, slots: Sequence[variables.Slot]) -> bool:
    return all(np.array_equal(pair.saved[s.key], pair.candidate[0].after[s.key][0], equal_nan=True) for s in slots)


def reproducibility_check(name: str, first: Evidence, second: Evidence, row: Tolerance) -> Judged:
    """The single-device run twice, under other seeds."""
    if not first.gradients:
        return Judged(Check(name, "skipped", detail="no gradient was measured"))
    if not all(np.isfinite(copies[0]).all() for copies in first.gradients.values()):
        return Judged(Check(name, "skipped", detail="not triggered: the single-device run has NaN or Inf"))
    comparison = compared(second.gradients, checks.first_copies(first.gradients), row, common_ratio=False)
    return checks.comparison_check(name, comparison, row.relative, "reference run twice, relative L2", ratio=False)
