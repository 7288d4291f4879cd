"""Batches as nests of arrays, leading axis = example: how many examples, and shards put together again."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf


def num_examples(batch: Any) -> int:
    """Examples in a batch or shard.

    Raises:
      ValueError: its arrays differ in their leading length, or have none.
    """
    lengths = {tuple(array.shape[:1]) for array in tf.nest.flatten(batch)}
    if len(lengths) != 1 or lengths == {()}:
        raise ValueError(f"the arrays of a batch must have one leading axis of one length; got {sorted(lengths)}")
    return int(lengths.pop()[0])


def join(shards: Sequence[Any]) -> Any:
    """The global batch of which these are the shards, in their order."""
    return tf.nest.map_structure(lambda *arrays: np.concatenate(arrays), *shards)


def resized(batch: Any, num_rows: int) -> Any:
    """A batch of so many examples: the first ones of `batch`, again from the beginning where it has fewer."""
    rows = np.arange(num_rows) % num_examples(batch)
    return tf.nest.map_structure(lambda leaf: np.asarray(leaf)[rows], batch)
