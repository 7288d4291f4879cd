"""Batches of one static size, so that no replica meets an uneven or empty shard in `fit`."""

from typing import Any

import keras
import tensorflow as tf


def pad_last_batch(dataset: tf.data.Dataset, batch_size: int) -> tf.data.Dataset:
    """Fills every batch up to `batch_size` rows and gives the added rows a sample weight of 0.

    `fit` splits what is left at the end of an epoch as it comes: 3 rows after batches of 16 on two replicas become 3
    and 0. A float32 convolution fails on the empty shard, BatchNormalization's moving statistics become NaN there,
    and a FIRST batch that the replicas do not divide ends `fit` with an error of AddN (keras#19246). Dropping the rest
    loses examples. Choose a `batch_size` that the number of replicas divides.

        model.compile("adam", GlobalMean("sparse_categorical_crossentropy"), weighted_metrics=["accuracy"])
        model.fit(pad_last_batch(dataset.batch(64), 64))

    With `GlobalMean` gradients are those of one device on the real rows. A stock loss would divide by the added rows,
    too. Metrics must stand in `weighted_metrics`: those in `metrics` count every row. BatchNormalization sees the
    added rows like any others (they are copies of real ones), and the loss that Keras reports for an epoch weights
    each batch by its rows, added ones included.

    Args:
      dataset: batches (x, y) or (x, y, sample_weight) of at most `batch_size` rows each; each part may be nested.
      batch_size: rows of every batch that comes out.

    Returns:
      Batches (x, y, sample_weight), every leaf [batch_size, ...]: copies of a batch's own rows fill it up. Weights that
      were given are kept; where none were, a real row has weight 1.

    Raises:
      ValueError: an element of `dataset` is not such a tuple, or `batch_size` is below 1.
      tf.errors.InvalidArgumentError: while iterating, for a batch of more rows.
    """
    parts = dataset.element_spec
    if not isinstance(parts, tuple) or len(parts) not in (2, 3):
        raise ValueError(f"the data set yields {parts}: give one of batches (x, y) or (x, y, sample_weight)")
    if batch_size < 1:
        raise ValueError(f"batch_size is {batch_size}: give the number of rows of a full batch")
    return dataset.map(lambda *batch: _padded(batch, batch_size))


def _padded(batch: tuple[Any, ...], batch_size: int) -> tuple[Any, Any, Any]:
    num_rows = tf.shape(tf.nest.flatten(batch)[0])[0]
    message = f"a batch of more than batch_size={batch_size} rows: give the size of the largest batch"
    with tf.control_dependencies([tf.debugging.assert_less_equal(num_rows, batch_size, message)]):
        rows = tf.range(batch_size)
    is_real = rows < num_rows

    def fill(leaf: Any) -> Any:
        return tf.ensure_shape(tf.gather(leaf, rows % num_rows), [batch_size, *leaf.shape[1:]])

    def only_real(weights: Any) -> Any:
        by_row = tf.reshape(is_real, [batch_size] + [1] * (weights.shape.rank - 1))
        return tf.where(by_row, weights, tf.zeros_like(weights))

    x, y, *given = tf.nest.map_structure(fill, batch)
    return x, y, tf.nest.map_structure(only_real, given[0] if given else tf.ones([batch_size], keras.config.floatx()))
