"""Holds the very step function that training uses against one device, before the first step.

`verify` checks the recipe's program and its input function; what is left is the few lines of `train.loop` that give
each replica its shard and sum what the replicas return. So the traced function runs once on the first batch, its update
is compared with that of one device on the whole batch, and everything is put back: training traces nothing twice.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from distribute import Check, Program
from train.loop import StepFunction

NAME = "update_equivalence/loop"

# Both runs are in the training dtype, and an optimizer that divides by small gradients (Adam: those near its epsilon)
# turns their rounding into more. In float32 about 1e-6 was measured; a wrong shard moves the update by 1e-1 and more.
ALLOWED = 1e-3

_MOST_NAMED = 3


def check_loop(step_function: StepFunction, program: Program, reference: Program, batch: Any) -> Check:
    """Runs one step of the loop and one of a single device on the same batch; leaves `program` as it was.

    Args:
      step_function: from `train.loop.make_train_function`.
      program: the program that it trains.
      reference: the same recipe, built on one device; its values are overwritten.
      batch: one global batch (images, labels).
    """
    initial = _values(program)
    _assign(reference, initial)
    means = step_function(iter(tf.data.Dataset.from_tensors(batch).repeat()))
    update = _difference(_values(program), initial)
    _assign(program, initial)

    rows = tf.ones(tf.shape(batch[1])[:1], batch[0].dtype)
    expected_means = tf.function(reference.train_step)((*batch, rows))
    expected = _difference(_values(reference), initial)
    return _judge(program, update, expected, means, expected_means)


def skipped_loop_check(reason: str) -> Check:
    """The check where it cannot be made."""
    return Check(NAME, "skipped", detail=reason)


def _judge(
    program: Program,
    update: Sequence[np.ndarray],
    expected: Sequence[np.ndarray],
    means: Mapping[str, tf.Tensor],
    expected_means: Mapping[str, tf.Tensor],
) -> Check:
    distances = {
        f"{variable.path} {_relative(value, wanted):.2g}": _relative(value, wanted)
        for variable, value, wanted in zip(_variables(program), update, expected, strict=True)
    }
    distances |= {
        f"{name} {float(value):.6g} instead of {float(expected_means[name]):.6g}": _relative(
            value, expected_means[name]
        )
        for name, value in means.items()
    }
    worst = sorted(distances, key=distances.__getitem__, reverse=True)
    observed = distances[worst[0]]
    differing = [text for text in worst if distances[text] > ALLOWED]
    detail = "relative L2 between one step of the training loop and one step of a single device"
    if differing:
        more = len(differing) - _MOST_NAMED
        detail += f"; differ: {', '.join(differing[:_MOST_NAMED])}" + (f" and {more} more" if more > 0 else "")
    return Check(NAME, "failed" if differing else "passed", observed, ALLOWED, detail)


def _variables(program: Program) -> list[Any]:
    return [*program.model.variables, *program.optimizer.variables]


def _values(program: Program) -> list[np.ndarray]:
    return [variable.numpy() for variable in _variables(program)]


def _assign(program: Program, values: Iterable[np.ndarray]) -> None:
    for variable, value in zip(_variables(program), values, strict=True):
        variable.assign(value)


def _difference(after: Sequence[np.ndarray], before: Sequence[np.ndarray]) -> list[np.ndarray]:
    # Integers (an optimizer's count of steps) as floats: what wraps around would hide a difference.
    return [np.subtract(new, old, dtype=np.float64) for new, old in zip(after, before, strict=True)]


def _relative(value: Any, expected: Any) -> float:
    value, expected = np.asarray(value, np.float64), np.asarray(expected, np.float64)
    distance, norm = float(np.linalg.norm(value - expected)), float(np.linalg.norm(expected))
    if distance == 0.0:
        return 0.0
    return distance / norm if norm else float("inf")
