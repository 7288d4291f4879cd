"""Sums over replicas: by the operations of the strategy, as training does it, and by copying and adding alone."""

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import tensorflow as tf

from ..worker_strategy import process_index
from .known_values import (
    MOST_EXACT,
    Comparison,
    TransportFailure,
    compare,
    compare_on,
    failures_of,
    float_values,
    place,
)


class Summands:
    """What each replica adds, and what comes out.

    Replica k of N adds the known values k + 1 times over, so that one that is lost or counted twice changes the sum.

    Attributes:
      names: the devices of this process, in replica order.
      parts: float32 vectors of each replica, on its device.
      wholes: their sums, on each device.
    """

    def __init__(self, strategy: tf.distribute.Strategy, names: Sequence[str], sizes: Sequence[int]):
        times = sum(range(1, strategy.num_replicas_in_sync + 1))
        first = len(names) * process_index(strategy)
        known = [float_values(size, MOST_EXACT // times - 1) for size in sizes]
        self._strategy = strategy
        self.names = names
        self.parts = self._distributed(
            [[place((k + 1) * values, name) for values in known] for k, name in enumerate(names, first)]
        )
        self.wholes = self._distributed([[place(times * values, name) for values in known] for name in names])

    def _distributed(self, values: list[list[tf.Tensor]]) -> Any:
        return self._strategy.experimental_distribute_values_from_function(
            lambda context: values[context.replica_id_in_sync_group % len(values)]
        )

    def of_replica(self, values: Any, replica: int) -> Any:
        """The part of distributed values that belongs to one replica of this process."""
        return tf.nest.map_structure(lambda value: self._strategy.experimental_local_results(value)[replica], values)


def all_reduce_failures(strategy: tf.distribute.Strategy, summands: Summands) -> Iterator[TransportFailure]:
    """Of the strategy's all-reduce, by whatever operations it was given."""

    def on_replica(parts: list[tf.Tensor], wholes: list[tf.Tensor]) -> list[Comparison]:
        here = tf.nest.map_structure(tf.identity, parts)  # an argument of a tf.function is on no device yet
        sums = tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, here)
        return list(map(compare, sums, wholes))  # here: the function may return one replica's sum in place of another's

    on_all = tf.function(lambda parts, wholes: strategy.run(on_replica, args=(parts, wholes)))
    compared = on_all(summands.parts, summands.wholes)
    for replica, name in enumerate(summands.names):
        yield from failures_of(f"the strategy's all-reduce, on {name}", summands.of_replica(compared, replica))


def reduce_failures(strategy: tf.distribute.Strategy, summands: Summands) -> Iterator[TransportFailure]:
    """Of the strategy's ``reduce`` towards the host, as for a loss that is to be shown."""
    reduced = [strategy.reduce(tf.distribute.ReduceOp.SUM, part, axis=None) for part in summands.parts]
    compared = map(compare, reduced, summands.of_replica(summands.wholes, 0))
    yield from failures_of("the strategy's reduce", compared)


def one_device_failures(summands: Summands) -> Iterator[TransportFailure]:
    """Of `ReductionToOneDevice`, which only copies and adds, and only within a process."""
    operations = tf.distribute.ReductionToOneDevice()
    sums = [operations.reduce(tf.distribute.ReduceOp.SUM, part, destinations=part) for part in summands.parts]
    for replica, name in enumerate(summands.names):
        received, expected = summands.of_replica(sums, replica), summands.of_replica(summands.wholes, replica)
        compared = map(compare_on, itertools.repeat(name), received, expected)
        yield from failures_of(f"ReductionToOneDevice, on {name}", compared)
