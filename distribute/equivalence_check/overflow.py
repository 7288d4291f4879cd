"""An overflow of the gradients, planted on each replica in turn: is it handled as on one device?

Loss scaling skips a step whose gradients are infinite. It never happens by itself in a short check, and who decides
by replica 0 alone (Keras 3's `LossScaleOptimizer`) applies an overflow of any other replica.
"""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from ..causes import Explanation
from ..report import Check
from . import checks, observe, step_graphs, variables
from .compare import compared
from .observe import Recorder
from .patching import patched
from .runs import Run
from .tolerances import Tolerance
from .trial import Pair, Trial

NAME = "update_equivalence/overflow"
CAUSE = "loss_scale_per_replica"

_LOOKS = {"IsFinite", "IsInf", "IsNan"}
_STOPS = {"Assert", "CheckNumerics", "CheckNumericsV2"}
_ROLES = (variables.TRAINABLE, variables.STATE, variables.OPTIMIZER)
Copies = Mapping[str, Sequence[np.ndarray]]


def _looks_for_overflow(trial: Trial) -> bool:
    """Whether the step asks if numbers are finite, as loss scaling has to, and goes on where they are not."""
    scaling = keras.optimizers.LossScaleOptimizer
    if any(isinstance(optimizer, scaling) for optimizer in trial.reference.recorder.optimizers):
        return True
    operations = step_graphs.operations(trial.reference.graphs)
    return bool(operations & _LOOKS) and not operations & _STOPS


def overflow_check(pairs: Sequence[tuple[Trial, Pair]]) -> tuple[Check, list[Explanation]]:
    """Plants infinite gradients on one device, and on each replica in turn.

    Args:
      pairs: the program in each of its dtypes; the first one that guards against overflow is taken, since Keras adds
        loss scaling under float16 only.
    """
    if any(trial.num_replicas == 1 or not pair.candidate for trial, pair in pairs):
        return _skipped("there is one replica only, or the replicas did not run"), []
    guarded = next(((trial, pair) for trial, pair in pairs if _looks_for_overflow(trial)), None)
    if guarded is None:
        return _skipped("the step does not go on after looking whether its gradients are finite"), []
    trial, pair = guarded
    expected = _survived(trial, pair)
    if expected is None:
        return _skipped("one device does not go on after an overflow either"), []
    check, variable = _judged(_each_replica(trial, pair), expected, trial, trial.row)
    if check.status == "passed":
        return check, []
    return check, [Explanation(CAUSE, check.detail, variable, trial.reference.place(observe.OPTIMIZER))]


def _skipped(reason: str) -> Check:
    return Check(NAME, "skipped", detail=f"not triggered: {reason}")


def _survived(trial: Trial, pair: Pair) -> Copies | None:
    """The variables of one device after a step with an overflow; None where it raises, or applies it."""
    try:
        after = next(_after_overflow(trial.reference, trial.wholes[pair.batch.suffix], trial, [0]))
    except tf.errors.OpError:
        return None
    return after if _finite(after) else None


def _finite(values: Copies) -> bool:
    return all(np.isfinite(copy).all() for copies in values.values() for copy in copies if copy.dtype.kind in "fc")


def _each_replica(trial: Trial, pair: Pair) -> list[Copies]:
    shards = trial.shards[pair.batch.suffix]
    return list(_after_overflow(trial.candidate, shards, trial, range(trial.num_replicas)))


def _after_overflow(run: Run, shards: Any, trial: Trial, replicas: Sequence[int]) -> Iterator[Copies]:
    """The variables after a step in which this replica's gradients are infinite, for each of `replicas`."""
    planted = tf.Variable(-1, trainable=False, dtype=tf.int32)
    graph, _ = run.traced_inside(shards, partial(_planting, planted))
    for replica in replicas:
        run.write(trial.initial)
        planted.assign(replica)
        graph()
        yield run.read()


@contextlib.contextmanager
def _planting(planted: tf.Variable, recorder: Recorder) -> Iterator[None]:
    """Inside, the gradients of replica number `planted` come out of the tape as infinity."""

    def hook(original: Any) -> Any:
        @tf.autograph.experimental.do_not_convert
        def gradient(tape: Any, *args: Any, **kwargs: Any) -> Any:
            here = tf.equal(planted, observe.replica_id())
            return tf.nest.map_structure(partial(_infinite_where, here), original(tape, *args, **kwargs))

        return gradient

    with patched(tf.GradientTape, "gradient", hook):
        yield


def _infinite_where(here: tf.Tensor, gradient: Any) -> Any:
    if gradient is None:
        return None
    if isinstance(gradient, tf.IndexedSlices):
        return tf.IndexedSlices(_infinite_where(here, gradient.values), gradient.indices, gradient.dense_shape)
    return tf.where(here, tf.constant(np.inf, gradient.dtype), gradient)


def _judged(runs: Sequence[Copies], expected: Copies, trial: Trial, row: Tolerance) -> tuple[Check, str]:
    """The check, and the variable that is furthest off."""
    slots = [slot for slot in checks.with_role(trial.slots, *_ROLES) if slot.floating]
    right = {slot.key: expected[slot.key][0] for slot in slots}
    each = [compared({key: after[key] for key in right}, right, row, common_ratio=False) for after in runs]
    replica = max(range(len(each)), key=lambda k: np.nan_to_num(each[k].observed, nan=np.inf))
    one, observed = each[replica].worst, each[replica].observed
    if one is None or observed <= row.relative:
        detail = f"relative L2 of all variables after an overflow on each of {len(runs)} replicas in turn"
        return Check(NAME, "passed", observed, row.relative, detail), ""
    found = f"{one.key} becomes {one.actual:.6g}, and {one.expected:.6g} on one device"
    detail = f"an overflow of the gradients planted on replica {replica}: {found}"
    return Check(NAME, "failed", observed, row.relative, detail), one.key
