"""The report's table of variables, from the first batch in the deciding dtype."""

from collections.abc import Mapping
from typing import Any

from distribute.equivalence_check.compare import Difference
from distribute.equivalence_check.judgement import Findings
from distribute.equivalence_check.trial import Trial
from distribute.equivalence_check.variables import METRIC, SEED, Slot


def variable_rows(trial: Trial, first: Findings) -> list[dict[str, Any]]:
    """One row per variable: its gradient where it is trained, else its value.

    ``reductions`` counts how often its gradient was summed over replicas, by ``optimizer`` and by the ``step`` itself.
    A step that sums by hand may be right with two (it divides what the optimizer sums again), so this is no check.
    """
    found: dict[str, tuple[str, Difference]] = {}
    for part, quantity in (("state", "value"), ("update", "update"), ("gradient", "gradient")):
        judged = first.judged.get(part)
        if judged is not None and judged.comparison is not None:
            found.update({one.key: (quantity, one) for one in judged.comparison.differences})
    slots = [slot for slot in trial.slots if slot.role not in (METRIC, SEED)]
    sums = trial.candidate.reductions() if first.pair.candidate and trial.num_replicas > 1 else {}
    rows = []
    for slot in slots:
        quantity, difference = found.get(slot.key, ("not compared", None))
        rows.append(_row(slot, quantity, difference, sums.get(slot.key)))
    return rows


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
