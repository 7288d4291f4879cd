"""Which fixed random numbers an example gets: those that its content says, so that it gets the same ones in every run.

A row of a shard does not know which row of the batch it is, and the runs that are compared have it in different places:
in the whole batch, in a shard, in a shard alone. What is in it is the same everywhere.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

NUM_ROWS = 16
"""So many different rows of numbers there are; examples may share one."""
_STEPS = 4096
"""Steps of a factor of two, far coarser than what a cast to another dtype changes."""
_SELECTING = frozenset({"Where", "Unique", "UniqueV2", "DynamicPartition"})


def row_numbers(shard: Any) -> tf.Tensor:
    """The number of each example's row [examples], in the graph being traced."""
    with tf.device("CPU:0"):
        numbers = tf.numpy_function(_by_content, tf.nest.flatten(shard), tf.int32)
    numbers.set_shape([tf.nest.flatten(shard)[0].shape[0]])
    return numbers


def counts_examples(shape: tf.Tensor, static: tf.TensorShape) -> bool:
    """Whether the leading number of a shape in the graph being traced may be that of the examples.

    It is known only when the step runs, as that is, and nothing was selected on the way: of a shard with a label
    everywhere as many are selected as there are examples, of the next one fewer.

    Args:
      shape: the numbers.
      static: what is known of them while the step is traced.
    """
    if not static.rank or static[0] is not None:
        return False
    seen: set[str] = set()
    waiting = [shape.op]
    while waiting:
        operation = waiting.pop()
        if operation.type in _SELECTING:
            return False
        made_by = {tensor.op.name: tensor.op for tensor in operation.inputs if tensor.op.name not in seen}
        seen.update(made_by)
        waiting += made_by.values()
    return True


def _by_content(*leaves: np.ndarray) -> np.ndarray:
    sums = sum(_sums(np.asarray(leaf)) for leaf in leaves)
    mantissa, exponent = np.frexp(np.nan_to_num(sums, posinf=0.0, neginf=0.0))
    return ((np.floor(mantissa * _STEPS).astype(np.int64) + 7 * exponent) % NUM_ROWS).astype(np.int32)


def _sums(leaf: np.ndarray) -> np.ndarray:
    """One number for each row, of its elements' sizes, each with a weight of its own place."""
    rows = leaf.reshape(len(leaf), -1) if leaf.size else np.zeros([len(leaf), 1])
    if rows.dtype.kind in "OSU":
        rows = np.array([[sum(bytes(element)) for element in row] for row in rows]).reshape(len(leaf), -1)
    places = 1 + np.modf(np.arange(rows.shape[1]) * 0.6180339887)[0]
    return _in_order(np.abs(rows.astype(np.float64)) * places)


def _in_order(rows: Sequence[np.ndarray]) -> np.ndarray:
    """Each row summed by itself: over a whole array NumPy may add in another order for another number of rows."""
    return np.array([row.sum() for row in rows], np.float64)
