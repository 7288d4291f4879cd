"""The rest of an epoch may leave a replica without a single example.

9 examples in batches of 8 leave one, for the first replica. The second computes with a batch of none. Here it adds
nothing, and the mean over the first replica's example is halved all the same; other layers fail or make a NaN of it.
"""

import keras
import numpy as np
import tensorflow as tf

from distribute import GlobalMean, pad_last_batch

rng = np.random.default_rng(0)
x, y = rng.normal(size=[9, 8]), rng.normal(size=[9, 1])


def wrong_batches():
    """8 examples and 1."""
    return tf.data.Dataset.from_tensor_slices((x, y)).batch(8)  # wrong: the second replica has no part of the rest


def wrong():
    """A model as one would write it on one device."""
    model = keras.Sequential([keras.Input([8]), keras.layers.Dense(16, "tanh"), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    return model


def mended_batches():
    """8 and 8 examples, 7 of them with weight 0; `batch(8, drop_remainder=True)` would drop the last example."""
    return pad_last_batch(tf.data.Dataset.from_tensor_slices((x, y)).batch(8), 8)


def mended():
    """A mean that does not count what has weight 0."""
    model = keras.Sequential([keras.Input([8]), keras.layers.Dense(16, "tanh"), keras.layers.Dense(1)])
    model.compile("sgd", GlobalMean("mse"))
    return model
