"""`distribute_datasets_from_function` calls the function once in every process, and each call reads the whole data set.

On one machine nothing happens, since there is one call. On a cluster every worker trains on the same examples, and an
epoch is N epochs long. `verify` also calls the function as a cluster would, so the mistake shows on a laptop.
"""

import keras
import numpy as np
import tensorflow as tf

rng = np.random.default_rng(0)
x, y = rng.normal(size=[32, 8]), rng.normal(size=[32, 1])


def wrong_batches(context):
    """The whole data set for each reader."""
    dataset = tf.data.Dataset.from_tensor_slices((x, y))  # wrong: no shard
    return dataset.batch(context.get_per_replica_batch_size(8))


def wrong():
    """Any model."""
    model = keras.Sequential([keras.Input([8]), keras.layers.Dense(16, "tanh"), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    return model


def mended_batches(context):
    """A share of it for each reader."""
    dataset = tf.data.Dataset.from_tensor_slices((x, y))
    dataset = dataset.shard(context.num_input_pipelines, context.input_pipeline_id)
    return dataset.batch(context.get_per_replica_batch_size(8))


mended = wrong  # the model was right
