"""The first global batch of any kind of data, as the shards that the replicas get."""

import itertools
from typing import Any

import numpy as np
import tensorflow as tf

from ..batches import num_examples
from ..data_argument import dataset_of, recognised


def first_shards(data: Any, num_replicas: int) -> list[Any]:
    """The first global batch, one nest of numpy arrays per replica that gets examples of it; none is empty.

    Args:
      data: a list or a Dataset of global batches, or a function of an `InputContext` that returns a Dataset
        of per-replica batches.
      num_replicas: over how many replicas the batch is split.

    Raises:
      ValueError: there is no batch, the batch holds something other than dense arrays of one leading length,
        or the data set is not batched.
      TypeError: `data` is none of these.
    """
    data = recognised(data)
    if callable(data):
        context = tf.distribute.InputContext(
            num_input_pipelines=1, input_pipeline_id=0, num_replicas_in_sync=num_replicas
        )
        shards = [_to_numpy(batch) for batch in itertools.islice(iter(dataset_of(data, context)), num_replicas)]
    else:
        shards = [_to_numpy(batch) for batch in itertools.islice(iter(data), 1)]
    if not shards or num_examples(shards[0]) == 0:
        raise ValueError("data holds no batch, or an empty one: there is nothing to run a step on")
    return shards if callable(data) else _split(shards[0], num_replicas)


def _to_numpy(batch: Any) -> Any:
    def convert(leaf: Any) -> np.ndarray:
        if isinstance(leaf, tf.RaggedTensor | tf.SparseTensor):
            raise ValueError(f"batches must be nests of dense arrays; got a {type(leaf).__name__}")
        return np.asarray(leaf)

    return tf.nest.map_structure(convert, batch)


def _split(batch: Any, num_replicas: int) -> list[Any]:
    # As MirroredStrategy splits a batch: ceil(B / N) examples each, the last ones take what is left.
    total = num_examples(batch)
    size = -(-total // num_replicas)
    return [
        tf.nest.map_structure(lambda array: array[start : start + size], batch)  # noqa: B023  called at once
        for start in range(0, total, size)
    ]
