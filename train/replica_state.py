"""State of which each replica may hold a value of its own: moving statistics, and the states of random generators.

`tf.train.Checkpoint` stores the first replica's copy of a variable, and of Keras' seed generators nothing at all: with
either, a resumed run would go on from another state than the one it left.
"""

from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from distribute.worker_strategy import process_index


class ReplicaState:
    """The non-trainable variables of a model, seed generators included, with the value on each replica."""

    def __init__(self, strategy: tf.distribute.Strategy, model: keras.Model):
        self._strategy = strategy
        self._names = [variable.path for variable in model.non_trainable_variables]
        self._variables = [variable.value for variable in model.non_trainable_variables]
        self._gather = tf.function(self._gather_in_graph)

    def make_holders(self) -> list[tf.Variable]:
        """A variable [replicas, …] for each, to be part of a checkpoint, whatever number of replicas wrote it."""
        return [
            tf.Variable(tf.zeros([1, *variable.shape], variable.dtype), shape=[None, *variable.shape], trainable=False)
            for variable in self._variables
        ]

    def read_into(self, holders: Sequence[tf.Variable]) -> None:
        """Sets the holders to the values on all replicas; all processes of a run have to take part."""
        if not self._variables:
            return
        for holder, copies in zip(holders, self._gather(), strict=True):
            holder.assign(copies)

    def write_from(self, holders: Sequence[tf.Variable]) -> None:
        """Sets every replica's copy; where another number of replicas wrote the holders, to one value of all."""
        num_replicas = self._strategy.num_replicas_in_sync
        for variable, holder in zip(self._variables, holders, strict=True):
            copies = holder.numpy()
            if len(copies) != num_replicas:
                copies = [combined(copies)] * num_replicas
            local = self._strategy.experimental_local_results(variable)
            first = process_index(self._strategy) * len(local)
            for copy, value in zip(local, copies[first:], strict=False):
                copy.assign(value)

    def differing_names(self, holders: Sequence[tf.Variable]) -> list[str]:
        """The names of variables of which the holders have values that differ from replica to replica."""
        return [name for name, holder in zip(self._names, holders, strict=True) if not _agree(holder.numpy())]

    def _gather_in_graph(self) -> list[tf.Tensor]:
        def own_values() -> list[tf.Tensor]:
            replica = tf.distribute.get_replica_context()
            return [replica.all_gather(tf.convert_to_tensor(value)[None], axis=0) for value in self._variables]

        gathered = self._strategy.run(own_values)
        return [self._strategy.experimental_local_results(copies)[0] for copies in gathered]


def combined(copies: np.ndarray) -> np.ndarray:
    """One value for the copies of all replicas [replicas, …].

    What they agree on, to the bit; else the mean, as tf-keras had it of moving statistics, and of whole numbers, such
    as the states of random generators, the first.
    """
    if _agree(copies) or not tf.as_dtype(copies.dtype).is_floating:
        return copies[0]
    return np.mean(copies, axis=0, dtype=np.float64).astype(copies.dtype)


def _agree(copies: np.ndarray) -> bool:
    return all(copy.tobytes() == copies[0].tobytes() for copy in copies)
