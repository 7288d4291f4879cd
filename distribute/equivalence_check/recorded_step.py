"""Sorts what was recorded of one step by variable and replica, into the evidence that the checks read."""

from collections.abc import Mapping, Sequence

import numpy as np

from . import observe, variables
from .evidence import Evidence
from .observe import Recorder
from .variables import Slot

Copies = Mapping[str, list[np.ndarray]]
"""By variable, one array for each replica."""


def evidence_of(
    recorder: Recorder,
    slots: Sequence[Slot],
    before: Copies,
    after: Copies,
    shard_sizes: Sequence[int],
    metrics: Mapping[str, float],
) -> Evidence:
    """What the step did whose values `recorder` holds.

    Args:
      recorder: of this step alone.
      slots: the program's variables.
      before: their values ahead of the step.
      after: their values behind it.
      shard_sizes: examples that each replica got.
      metrics: by name, the result of each Keras metric.
    """
    kinds = (observe.APPLIED, observe.RETURNED, observe.LOCAL, observe.HANDED, observe.FED)
    seen = {kind: _by_variable(recorder, slots, kind) for kind in kinds}
    source, gradients = _applied(seen, slots, before, after)
    indices = _by_variable(recorder, slots, observe.SPARSE_INDICES)
    values = _by_variable(recorder, slots, observe.SPARSE_VALUES)
    return Evidence(
        before=before,
        after=after,
        gradients=gradients,
        outputs=_outputs(recorder),
        shard_sizes=shard_sizes,
        metrics=metrics,
        local=seen[observe.LOCAL],
        handed=seen[observe.HANDED],
        fed=seen[observe.FED],
        sparse={key: (copies[0], indices[key][0]) for key, copies in values.items()},
        gradient_source=source,
    )


def _applied(seen: Mapping[str, Copies], slots: Sequence[Slot], before: Copies, after: Copies) -> tuple[str, Copies]:
    """Where the gradients as applied come from, and those gradients."""
    for kind in (observe.RETURNED, observe.APPLIED):
        if seen[kind]:
            return kind, seen[kind]
    if not seen[observe.LOCAL]:
        return "", {}
    # Without a Keras optimizer nothing says which tensor is applied: the update itself is the gradient's image.
    trained = [slot.key for slot in slots if slot.role == variables.TRAINABLE]
    return "the update itself", {
        key: [old - new for old, new in zip(before[key], after[key], strict=True)] for key in trained
    }


def _by_variable(recorder: Recorder, slots: Sequence[Slot], kind: str) -> dict[str, list[np.ndarray]]:
    """By variable, one array per replica; a variable that was seen several times has one more axis."""
    keys = {id(slot.variable): slot.key for slot in slots}
    by_replica = recorder.values(kind)
    found: dict[str, list[np.ndarray]] = {}
    for replica in sorted(by_replica):
        seen: dict[str, list[np.ndarray]] = {}
        for variable, array in by_replica[replica]:
            if id(variable) in keys:
                seen.setdefault(keys[id(variable)], []).append(array)
        for key, arrays in seen.items():
            found.setdefault(key, []).append(arrays[0] if len(arrays) == 1 else np.stack(arrays))
    return {key: variables.shared(copies) for key, copies in found.items()}


def _outputs(recorder: Recorder) -> dict[str, list[np.ndarray]]:
    """By name, the scalar that each replica returned."""
    found: dict[str, list[np.ndarray]] = {}
    by_replica = recorder.values(observe.OUTPUT)
    for replica in sorted(by_replica):
        for name, value in by_replica[replica]:
            found.setdefault(name, []).append(value)
    return found
