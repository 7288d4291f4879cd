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

# Both runs are in the training dtype, and an optimizer that divides by its gradients (Adam) makes full steps out of the
# rounding of those that are zero: the bias before a BatchNorm, the key bias of an attention. So the update is judged as
# a whole, and coarsely: `verify` has judged the arithmetic to 1e-12 already; what can go wrong here, another shard or a
# mean for a sum, moves it by half and more. In float32, 1e-6 was measured for the conv net.
ALLOWED = 0.25

_MOST_NAMED = 3


def check_loop(step_function: StepFunction, program: Program, reference: Program, batches: tf.data.Dataset) -> Check:
    """Runs one step of the loop and one of a single device on the same batch; leaves `program` as it was.

    Args:
      step_function: from `train.loop.make_train_function`.
      program: the program that it trains.
      reference: the same recipe, built on one device; its values are overwritten.
      batches: the global batches (images, labels) of training, whose form the function is traced for.
    """
    initial = _values(program)
    _assign(reference, initial)
    means = step_function(iter(batches))
    update = _difference(_values(program), initial)
    _assign(program, initial)

    batch = next(iter(batches))
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
        f"{name} {float(value):.6g} instead of {float(expected_means[name]):.6g}": _relative(
            value, expected_means[name]
        )
        for name, value in means.items()
    }
    whole = _relative(_joined(update), _joined(expected))
    by_variable = sorted(
        (_relative(value, wanted), variable.path)
        for variable, value, wanted in zip(_variables(program), update, expected, strict=True)
    )
    worst = ", ".join(f"{path} {distance:.2g}" for distance, path in by_variable[: -_MOST_NAMED - 1 : -1])
    distances[f"the update as a whole {whole:.2g} (worst in {worst})"] = whole
    observed = max(distances.values())
    differing = [text for text, distance in distances.items() if distance > ALLOWED]
    detail = "relative L2 between one step of the training loop and one step of a single device"
    if differing:
        detail += f"; differ: {', '.join(differing)}"
    return Check(NAME, "failed" if differing else "passed", observed, ALLOWED, detail)


def _joined(values: Sequence[np.ndarray]) -> np.ndarray:
    return np.concatenate([value.ravel() for value in values])


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
