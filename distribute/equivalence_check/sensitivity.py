"""A program that amplifies rounding is held to its own sensitivity: what the last digit of its inputs does to it.

Variance as E[x²]−E[x]² (synchronised BatchNorm) loses half of float64's digits where the mean is large: two right runs
then differ by 1e-8. No fixed gate fits that, and one more run on one device says how far rounding can go.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

from . import checks, variables
from .checks import Judged
from .compare import compared
from .evidence import Evidence
from .judgement import Findings
from .tolerances import Tolerance
from .trial import Trial

MOST = 1e-6
"""More than that is not called rounding in float64, however sensitive a program is."""

_PARTS = ("gradient", "update", "updates", "state", "saved", "communication", "communicated state")


def excuse_rounding(trial: Trial, found: Findings, row: Tolerance) -> None:
    """Checks that fail by no more than the single device's own rounding pass, and say so."""
    failed = [part for part in _PARTS if found.failed(part)]
    if not failed or any((found.judged[part].check.observed or 0) > row.multiple * MOST for part in failed):
        return
    reference, shaken = found.pair.reference, trial.shaken(found.pair.batch, len(found.pair.reference))
    for part in failed:
        right = checks.first_copies(_values(reference, trial, part))
        own = compared(_values(shaken, trial, part), right, row).observed
        judged = found.judged[part]
        if (judged.check.observed or 0) <= row.multiple * own <= row.multiple * MOST:
            found.judged[part] = _excused(judged, own, row.multiple)


def _excused(judged: Judged, own: float, multiple: float) -> Judged:
    detail = (
        f"{judged.check.detail}; the program amplifies rounding: one device is {own:.2g} off itself when the last digit"
        f" of inputs and weights changes ({multiple:g} times that is allowed)"
    )
    check = dataclasses.replace(judged.check, status="passed", allowed=multiple * own, detail=detail)
    return dataclasses.replace(judged, check=check)


def _values(steps: Sequence[Evidence], trial: Trial, part: str) -> dict[str, Any]:
    first = steps[0]
    if part in ("gradient", "communication"):
        return dict(first.gradients)
    if part in ("update", "updates"):
        last = first if part == "update" else steps[-1]
        return checks.updates(last, checks.with_role(trial.slots, variables.TRAINABLE), first.before)
    slots = [slot for slot in checks.with_role(trial.slots, variables.TRAINABLE, variables.STATE) if slot.floating]
    return {slot.key: first.after[slot.key] for slot in slots}
