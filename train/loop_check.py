"""Holds the very step function that training uses against one device, before the first step.

`verify` checks the recipe's program and its input function; what is left is the few lines of `train.loop` that give
each replica its shard and sum what the replicas return. So the traced function runs once on the first batch, its update
is compared with that of one device on the whole batch, and everything is put back: training traces nothing twice.

Where training computes coarsely (a GPU's TF32, half precision) a step says little: kernels for another number of rows
round otherwise, in the third digit, and Adam makes signs of it. There the same lines are built once more in float64.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from distribute import Check, Program
from train.loop import StepFunction
from train.sharding import weight_dtype

NAME = "update_equivalence/loop"
CLUSTER = "update_equivalence/cluster"

# Both runs are in the training dtype, and an optimizer that divides by its gradients (Adam) makes full steps out of the
# rounding of those that are zero: the bias before a BatchNorm, the key bias of an attention. So each variable is held
# to how far the single device is from itself when it takes the rows of the batch in another order.
MULTIPLE = 8.0
# Less than that is granted to every variable: two orders may round alike by chance. The smallest mistake of this kind,
# another shard or a mean for a sum, moves the update by a large part of itself.
FLOOR = 1e-3
_NOTHING = 1e-6  # of the norm of the whole update

_MOST_NAMED = 3

Values = list[np.ndarray]
"""The update of each variable, then what the step returned, in the order of its names."""


def check_loop(
    step_function: StepFunction, program: Program, reference: Program, batches: tf.data.Dataset, *, name: str = NAME
) -> Check:
    """Runs one step of the loop and one of a single device on the same batch; leaves `program` as it was.

    Args:
      step_function: a `train.loop.TrainFunction`.
      program: the program that it trains.
      reference: the same recipe, built on one device; its values are overwritten.
      batches: the global batches (inputs, labels) of training, whose form the function is traced for.
      name: of the check.
    """
    initial = _values(program)
    means = step_function(iter(batches))
    actual = _outcome(program, initial, means)
    _assign(program, initial)
    try:
        expected, *reordered = _single_device(reference, initial, next(iter(batches)))
    except tf.errors.ResourceExhaustedError:
        return skipped_loop_check("the whole batch does not fit on one device", name)
    names = [variable.path for variable in _variables(program)] + [f"returned {name}" for name in sorted(means)]
    return _judge(name, names, actual, expected, reordered)


def skipped_loop_check(reason: str, name: str = NAME) -> Check:
    """The check where it cannot be made."""
    return Check(name, "skipped", detail=reason)


def _single_device(reference: Program, initial: Sequence[np.ndarray], batch: Sequence[tf.Tensor]) -> list[Values]:
    """What one step changes and returns: with the rows as they are, backwards, and from the middle on."""
    step = tf.function(reference.train_step)
    rows = tf.range(tf.shape(batch[1])[0])
    weights = tf.ones(tf.shape(rows), weight_dtype(batch))
    outcomes = []
    for order in (rows, rows[::-1], tf.roll(rows, tf.size(rows) // 2, axis=0)):
        _assign(reference, initial)
        means = step((*(tf.gather(part, order) for part in batch), weights))
        outcomes.append(_outcome(reference, initial, means))
    return outcomes


def _outcome(program: Program, initial: Sequence[np.ndarray], means: Mapping[str, tf.Tensor]) -> Values:
    # Integers (an optimizer's count of steps) as floats: what wraps around would hide a difference.
    updates = [
        np.subtract(variable.numpy(), old, dtype=np.float64)
        for variable, old in zip(_variables(program), initial, strict=True)
    ]
    return updates + [np.asarray(means[name], np.float64) for name in sorted(means)]


def _judge(check: str, names: Sequence[str], actual: Values, expected: Values, reordered: Sequence[Values]) -> Check:
    total = float(np.sqrt(sum(np.sum(np.square(value)) for value in expected)))
    rows = []
    for name, value, wanted, *others in zip(names, actual, expected, *reordered, strict=True):
        allowed = max(MULTIPLE * max(_relative(other, wanted, total) for other in others), FLOOR)
        observed = _relative(value, wanted, total)
        rows.append((observed / allowed, observed, allowed, name))
    rows.sort(reverse=True)
    excess, observed, allowed, worst = rows[0]
    detail = (
        f"relative L2 between one step of the training loop and one of a single device, worst in {worst};"
        f" allowed is {MULTIPLE:g} times what another order of the rows does on one device, at least {FLOOR:g}"
    )
    differing = [f"{name} {off:.2g}" for excess_of, off, _, name in rows if excess_of > 1]
    if differing:
        more = f" and {len(differing) - _MOST_NAMED} more" if len(differing) > _MOST_NAMED else ""
        detail += f"; differ: {', '.join(differing[:_MOST_NAMED])}{more}"
    return Check(check, "failed" if excess > 1 else "passed", observed, allowed, detail)


def _variables(program: Program) -> list[Any]:
    return [*program.model.variables, *program.optimizer.variables]


def _values(program: Program) -> list[np.ndarray]:
    return [variable.numpy() for variable in _variables(program)]


def _assign(program: Program, values: Iterable[np.ndarray]) -> None:
    for variable, value in zip(_variables(program), values, strict=True):
        variable.assign(value)


def _relative(value: np.ndarray, wanted: np.ndarray, total: float) -> float:
    distance, norm = float(np.linalg.norm(value - wanted)), float(np.linalg.norm(wanted))
    if distance <= _NOTHING * total and (distance == 0.0 or norm <= _NOTHING * total):
        return 0.0
    return distance / norm if norm else float("inf")
