"""The training loop: the recipe's step under `strategy.run`, fed from one plain iterator."""

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import tensorflow as tf

from distribute import Program
from train.call_length import CallLength
from train.errors import NonFiniteError
from train.finite import non_finite_places
from train.sharding import take_shard

Means = Mapping[str, tf.Tensor]
StepFunction = Callable[[Iterator[Any]], Means]


class TrainFunction:
    """Training steps over all replicas, traced once whatever the size of a batch and the number of steps."""

    def __init__(self, strategy: tf.distribute.Strategy, program: Program):
        self._num_begun = tf.Variable(0, dtype=tf.int64, trainable=False)
        self._one_step = _distribute(strategy, program.train_step)
        self._steps: Callable[..., Means] = tf.function(self._steps_in_graph)

    def __call__(self, iterator: Iterator[Any]) -> Means:
        """Makes one step on the next global batch; returns its means over that batch."""
        return {name: values[0] for name, values in self.steps(iterator, 1).items()}

    def steps(self, iterator: Iterator[Any], num_steps: int) -> Means:
        """Makes so many steps without coming back to Python; returns the means of each, [num_steps]."""
        return self._steps(iterator, tf.constant(num_steps))

    def decorate(self, decorator: Callable[[Callable[..., Means]], Callable[..., Means]]) -> None:
        """Puts something around each call, such as `train.placement.print_placement_once`."""
        self._steps = decorator(self._steps)

    @property
    def num_traces(self) -> int:
        """How often the step was traced."""
        return int(self._one_step.experimental_get_tracing_count())

    @property
    def num_begun(self) -> int:
        """How many steps `steps` has begun, one that failed included."""
        return int(self._num_begun.numpy())

    def _steps_in_graph(self, iterator: Iterator[Any], num_steps: tf.Tensor) -> dict[str, tf.Tensor]:
        specs = self._one_step.get_concrete_function(iterator).structured_outputs
        arrays = {name: tf.TensorArray(spec.dtype, num_steps, element_shape=spec.shape) for name, spec in specs.items()}
        for index in tf.range(num_steps):
            # One after the other: where a step fails, the one after it must not have begun.
            tf.autograph.experimental.set_loop_options(parallel_iterations=1)
            with tf.control_dependencies([self._num_begun.assign_add(1)]):
                means = self._one_step(iterator)
            arrays = {name: arrays[name].write(index, means[name]) for name in arrays}
        return {name: array.stack() for name, array in arrays.items()}


def train(
    function: TrainFunction,
    batches: tf.data.Dataset,
    *,
    first_step: int,
    num_steps: int,
    after_call: Callable[[int, Means], bool],
    steps_per_call: int | None = 1,
    next_stop: Callable[[int], int] | None = None,
) -> int:
    """Runs steps `first_step` + 1 to `num_steps`.

    Args:
      function: the step.
      batches: global batches, beginning with that of step `first_step` + 1.
      first_step: steps that are done already.
      num_steps: steps when done.
      after_call: gets the number of steps done, and the means of each step since the last call [steps], still as
        tensors, so that reading them (which waits for the devices) is its choice; True ends the training.
      steps_per_call: so many steps are made before control comes back; None for what `CallLength` finds.
      next_stop: says after which step control has to come back at the latest, given the number of steps done.

    Returns:
      The number of steps done.

    Raises:
      NonFiniteError: a loss or gradient was NaN or infinite; that step's update was not applied.
    """
    iterator = iter(batches)
    begun_before = function.num_begun
    length = CallLength(steps_per_call)
    step = first_step
    while step < num_steps:
        stop = min(step + length.steps, num_steps, next_stop(step) if next_stop else num_steps)
        begin = time.perf_counter()
        try:
            means = function.steps(iterator, stop - step)
        except tf.errors.InvalidArgumentError as error:
            places = non_finite_places(error)
            if places is None:
                raise
            failed = first_step + function.num_begun - begun_before
            raise NonFiniteError(
                f"step {failed}: NaN or Inf in {places}; stopped before the update (try a smaller --learning_rate)"
            ) from error
        step = stop
        if not length.known:
            means["loss"].numpy()
            length.took(time.perf_counter() - begin)
        if after_call(step, means):
            break
    return step


def evaluate(strategy: tf.distribute.Strategy, program: Program, batches: tf.data.Dataset) -> dict[str, float]:
    """Means of what the program measures over all examples, each global batch split over the replicas as in training.

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


def _distribute(strategy: tf.distribute.Strategy, step: Callable[[Any], Means]) -> Any:
    """Takes a global batch, gives each replica its shard and sums what the replicas return.

    Not `experimental_distribute_dataset`: it would split a rest of 3 examples on two replicas into 3 and 0, the
    distributed iterator takes minutes to shut down at 32 replicas, and one plain iterator is faster.
    """

    def replica_step(batch: Any) -> Mapping[str, tf.Tensor]:
        replica = tf.distribute.get_replica_context()
        # Cut where the batch lies: else the whole batch is copied to every replica's device.
        with tf.device("CPU:0"):
            shard = take_shard(batch, replica.replica_id_in_sync_group, replica.num_replicas_in_sync)
        return step(shard)

    @tf.function
    def step_function(iterator: Iterator[Any]) -> dict[str, tf.Tensor]:
        values = strategy.run(replica_step, args=(next(iterator),))
        return {name: strategy.reduce(tf.distribute.ReduceOp.SUM, value, axis=None) for name, value in values.items()}

    return step_function
