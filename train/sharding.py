"""Which rows of a global batch each replica takes: one rule, used by the training step and by verification.

The input pipeline makes GLOBAL batches and knows nothing of replicas, so a run sees the same batches on 1, 2
or 8 of them. Inside ``strategy.run`` each replica takes its rows:

    images, labels, weights = take_shard(batch, context.replica_id_in_sync_group, num_replicas)

Replica k of N takes rows [k*B//N, (k+1)*B//N) of B: contiguous, each row once, sizes that differ by at most
one. TensorFlow's own split of an uneven batch is another: 19 rows in batches of 16 leave the second of two
replicas an empty shard, and float32 convolutions raise on it. Here only B < N leaves a replica without rows;
it gets one row of a neighbour's with weight 0, so that every replica always has something to compute.

A loss or metric must therefore use the weights: the sum of weights * values over all replicas, divided by the
sum of the weights over all replicas, which is B.
"""

from collections.abc import Callable
from typing import Any

import tensorflow as tf


def take_shard(batch: tuple[Any, ...], replica_id: Any, num_replicas: int) -> tuple[Any, ...]:
    """One replica's rows of a global batch, and their weights.

    Args:
      batch: a tuple of nests of tensors, all [B, ...] with the same B >= 1, such as (images, labels). B may
        be unknown while tracing: the rows are computed in the graph, so a last batch of another size costs
        no new trace.
      replica_id: this replica's number, 0 <= replica_id < num_replicas: an int or an integer scalar tensor.
      num_replicas: how many replicas share the batch.

    Returns:
      The batch's elements, each [b, ...] with b = max(1, rows of this replica), followed by the weights: [b]
      in the floating dtype of the batch (float32 if it has none), 1 for a row that is this replica's own and
      0 for one that only fills an empty shard.
    """
    leaves = tf.nest.flatten(batch)
    batch_size = tf.shape(leaves[0])[0]
    replica_id = tf.cast(replica_id, tf.int32)
    start = replica_id * batch_size // num_replicas
    end = (replica_id + 1) * batch_size // num_replicas
    num_rows = tf.maximum(end - start, 1)
    shard = tf.nest.map_structure(lambda leaf: leaf[start : start + num_rows], batch)
    return *shard, tf.fill([num_rows], tf.cast(end > start, weight_dtype(batch)))


def weight_dtype(batch: Any) -> tf.DType:
    """The floating dtype of a batch, which its weights have; float32 if it has none."""
    return next((leaf.dtype for leaf in tf.nest.flatten(batch) if leaf.dtype.is_floating), tf.float32)


def shard_sizes(batch_size: int, num_replicas: int) -> list[int]:
    """How many rows of a batch are each replica's own; 0 where it fills an empty shard."""
    bounds = [replica_id * batch_size // num_replicas for replica_id in range(num_replicas + 1)]
    return [end - start for start, end in zip(bounds, bounds[1:], strict=False)]


def shard_input_fn(make_batches: Callable[[], tf.data.Dataset]) -> Callable[[Any], tf.data.Dataset]:
    """The training input as an input function, for ``verify`` and ``distribute_datasets_from_function``.

    Args:
      make_batches: makes the data set of global batches, tuples of [B, ...] tensors. It is called once per
        input pipeline and must yield the same batches each time, as ``train_batches`` does.

    Returns:
      A function ``tf.distribute.InputContext -> tf.data.Dataset`` of PER-REPLICA batches, made by
      ``take_shard``. Of N replicas and P pipelines, pipeline p yields the shards of replicas p*N//P up to
      (p+1)*N//P - 1, for each global batch in replica order: one pipeline all N shards in turn, N pipelines
      shard p each.
    """

    def input_fn(context: Any) -> tf.data.Dataset:
        num_replicas, num_pipelines = context.num_replicas_in_sync, context.num_input_pipelines
        first = context.input_pipeline_id * num_replicas // num_pipelines
        last = (context.input_pipeline_id + 1) * num_replicas // num_pipelines

        def shards_of(*batch: Any) -> tf.data.Dataset:
            replica_ids = tf.data.Dataset.range(first, last)
            return replica_ids.map(lambda replica_id: take_shard(batch, replica_id, num_replicas))

        return make_batches().flat_map(shards_of)

    return input_fn
