"""The mean over the global batch, of which each replica computes its part."""

from typing import Any

import tensorflow as tf


def global_mean(values: Any, weights: Any = None) -> tf.Tensor:
    """This replica's part of the weighted mean over the global batch: the sum over replicas is the mean.

    A mean over each replica's own examples gives every replica the same weight, however many examples, weights or
    valid tokens it has: `uneven_batch_weighting`, `sample_weight_mean_per_replica`, `masked_mean_per_replica`
    (transformers#34191 is the best known case). Here each replica divides its sum by the weights of ALL replicas, so
    that the sum of gradients, which `optimizer.apply_gradients` makes, is the gradient of the mean on one device:
    for uneven shards and for a shard without examples, too.

        with tf.GradientTape() as tape:
            loss = global_mean(per_example_losses(model(x), y), weights)  # or a mask of valid tokens

    Call it in replica context, on all replicas. On one device, and outside of replicas, it is the mean.

    Args:
      values: [b, ...], one for each example, token or pixel of this replica.
      weights: None for 1 each; else a number or truth value for each of `values`, or for each example: its shape is
        that of `values` or a leading part of it, such as [b].

    Returns:
      A scalar in the dtype of `values`, float32 for whole numbers and half precision. The normaliser carries no
      gradient. Where all weights are 0, it is 0.

    Raises:
      ValueError: the shape of `weights` is no leading part of the shape of `values`.
    """
    values = tf.convert_to_tensor(values)
    if not values.dtype.is_floating or values.dtype.size < tf.float32.size:
        values = tf.cast(values, tf.float32)  # half precision cannot count beyond 2048 (bfloat16: 256)
    each = tf.ones_like(values) if weights is None else _one_for_each(values, weights)
    (count,) = sums_over_replicas(tf.reduce_sum(each))
    return tf.math.divide_no_nan(tf.reduce_sum(values * each), count)


def _one_for_each(values: tf.Tensor, weights: Any) -> tf.Tensor:
    weights = tf.cast(weights, values.dtype)
    missing = values.shape.rank - weights.shape.rank
    if missing < 0 or not weights.shape.is_compatible_with(values.shape[: weights.shape.rank]):
        raise ValueError(
            f"weights has shape {weights.shape} and values {values.shape}: give one weight for each value, or one for "
            "each example"
        )
    filled = tf.reshape(weights, tf.concat([tf.shape(weights), [1] * missing], axis=0))
    return tf.broadcast_to(filled, tf.shape(values))


def sums_over_replicas(*scalars: tf.Tensor) -> list[tf.Tensor]:
    """Each scalar summed over all replicas, in one all-reduce and without a gradient; as it is outside of replicas."""
    stacked = tf.stop_gradient(tf.stack(scalars))
    context = tf.distribute.get_replica_context()  # None while Keras builds a model symbolically in a strategy's scope
    if context is not None:
        stacked = context.all_reduce(tf.distribute.ReduceOp.SUM, stacked)
    return tf.unstack(stacked)
