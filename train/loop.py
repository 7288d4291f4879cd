"""The training loop: the recipe's step under `strategy.run`, fed from one plain iterator."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import tensorflow as tf

from distribute import Program
from train.errors import NonFiniteError
from train.finite import non_finite_places
from train.sharding import take_shard

StepFunction = Callable[[Iterator[Any]], Mapping[str, tf.Tensor]]


def make_train_function(strategy: tf.distribute.Strategy, program: Program) -> StepFunction:
    """One training step over all replicas: takes an iterator of global batches, returns means over the global batch."""
    return _distribute(strategy, program.train_step)


def train(
    step_function: StepFunction,
    batches: tf.data.Dataset,
    *,
    first_step: int,
    num_steps: int,
    after_step: Callable[[int, Mapping[str, tf.Tensor]], bool],
) -> int:
    """Runs steps `first_step` + 1 to `num_steps`.

    Args:
      step_function: from `make_train_function`.
      batches: global batches, beginning with that of step `first_step` + 1.
      first_step: steps that are done already.
      num_steps: steps when done.
      after_step: gets the number of steps done and the step's means, still as tensors, so that reading them (which
        waits for the devices) is its choice; True ends the training.

    Returns:
      The number of steps done.

    Raises:
      NonFiniteError: a loss or gradient was NaN or infinite; that step's update was not applied.
    """
    iterator = iter(batches)
    step = first_step
    while step < num_steps:
        step += 1
        try:
            means = step_function(iterator)
        except tf.errors.InvalidArgumentError as error:
            places = non_finite_places(error)
            if places is None:
                raise
            raise NonFiniteError(
                f"step {step}: NaN or Inf in {places}; stopped before the update (try a smaller --learning_rate)"
            ) from error
        if after_step(step, means):
            break
    return step


def evaluate(strategy: tf.distribute.Strategy, program: Program, batches: tf.data.Dataset) -> dict[str, float]:
    """Mean ``loss`` and ``accuracy`` over all examples, each global batch split over the replicas as in training.

    Raises:
      ValueError: the program has no `evaluate_step`.
    """
    if program.evaluate_step is None:
        raise ValueError("the program has no evaluate_step: give one to evaluate it")
    step_function = _distribute(strategy, program.evaluate_step)
    iterator = iter(batches)
    totals: dict[str, float] = {}
    for _ in range(batches.cardinality().numpy()):
        for name, value in step_function(iterator).items():
            totals[name] = totals.get(name, 0.0) + float(value)
    num_examples = totals.pop("examples")
    return {name: total / num_examples for name, total in totals.items()}


def _distribute(strategy: tf.distribute.Strategy, step: Callable[[Any], Mapping[str, tf.Tensor]]) -> StepFunction:
    """Takes a global batch, gives each replica its shard and sums what the replicas return.

    Not `experimental_distribute_dataset`: it would split a rest of 3 examples on two replicas into 3 and 0, the
    distributed iterator takes minutes to shut down at 32 replicas, and one plain iterator is faster.
    """

    def replica_step(batch: Any) -> Mapping[str, tf.Tensor]:
        replica = tf.distribute.get_replica_context()
        return step(take_shard(batch, replica.replica_id_in_sync_group, replica.num_replicas_in_sync))

    @tf.function
    def step_function(iterator: Iterator[Any]) -> dict[str, tf.Tensor]:
        values = strategy.run(replica_step, args=(next(iterator),))
        return {name: strategy.reduce(tf.distribute.ReduceOp.SUM, value, axis=None) for name, value in values.items()}

    return step_function
