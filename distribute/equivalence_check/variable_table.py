"""The report's table of variables, from the first batch in the deciding dtype."""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from .compare import Difference
from .judgement import Findings
from .trial import Trial
from .variables import METRIC, SEED, Slot

_QUANTITIES = (("state", "value"), ("update", "update"), ("gradient", "gradient"))
"""What may stand for a variable; what comes later in this list goes before."""


def variable_rows(trial: Trial, first: Findings, lower: Mapping[str, Findings]) -> list[dict[str, Any]]:
    """One row per variable: its gradient where it is trained, else its value.

    ``low_precision`` has its accuracy in each dtype below the arbiter's, where it was judged by that: how far it is
    from the float64 result on the replicas and on one device, and how far it may be.

    ``reductions`` counts how often its gradient was summed over replicas, by ``optimizer`` and by the ``step`` itself.
    A step that sums by hand may be right with two (it divides what the optimizer sums again), so this is no check.
    """
    found: dict[str, tuple[str, Difference]] = {}
    for part, quantity in _QUANTITIES:
        judged = first.judged.get(part)
        if judged is not None and judged.comparison is not None:
            found.update({one.key: (quantity, one) for one in judged.comparison.differences})
    slots = [slot for slot in trial.slots if slot.role not in (METRIC, SEED)]
    sums = trial.candidate.reductions() if first.pair.candidate and trial.num_replicas > 1 else {}
    rows = []
    for slot in slots:
        quantity, difference = found.get(slot.key, ("not compared", None))
        row = _row(slot, quantity, difference, sums.get(slot.key))
        rows.append({**row, "low_precision": list(_low_precision(slot.key, lower))})
    return rows


def _low_precision(key: str, lower: Mapping[str, Findings]) -> Iterator[dict[str, Any]]:
    for dtype, findings in lower.items():
        for part, quantity in reversed(_QUANTITIES):
            judged = findings.judged.get(part)
            if judged is not None and key in judged.accuracy:
                yield {"dtype": dtype, "quantity": quantity, **dataclasses.asdict(judged.accuracy[key])}
                break


def _row(slot: Slot, quantity: str, one: Difference | None, sums: Mapping[str, int] | None) -> dict[str, Any]:
    return {
        "path": slot.key,
        "shape": list(slot.shape),
        "dtype": slot.dtype,
        "role": slot.role,
        "quantity": quantity,
        "relative_l2": one.relative_l2 if one else None,
        "residual": one.residual if one else None,
        "max_abs": one.max_abs if one else None,
        "ratio": float(one.ratio) if one and one.ratio is not None else None,
        "cosine": float(one.cosine) if one and one.cosine is not None else None,
        "replica": one.replica if one else None,
        "reductions": dict(sums) if sums else None,
        "reductions_expected": 1 if sums else None,
    }
