"""The report's table of variables, from the first batch in the deciding dtype."""

from typing import Any

from distribute.equivalence_check.compare import Difference
from distribute.equivalence_check.judgement import Findings
from distribute.equivalence_check.trial import Trial
from distribute.equivalence_check.variables import METRIC, SEED, Slot


def variable_rows(trial: Trial, first: Findings) -> list[dict[str, Any]]:
    """One row per variable: its gradient where it is trained, else its value."""
    found: dict[str, tuple[str, Difference]] = {}
    for part, quantity in (("state", "value"), ("update", "update"), ("gradient", "gradient")):
        judged = first.judged.get(part)
        if judged is not None and judged.comparison is not None:
            found.update({one.key: (quantity, one) for one in judged.comparison.differences})
    slots = [slot for slot in trial.slots if slot.role not in (METRIC, SEED)]
    return [_row(slot, *found.get(slot.key, ("not compared", None))) for slot in slots]


def _row(slot: Slot, quantity: str, one: Difference | None) -> dict[str, Any]:
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
    }
