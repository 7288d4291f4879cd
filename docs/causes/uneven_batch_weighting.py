"""Keras takes the mean over each replica's examples and divides it by the number of replicas.

That is the mean over the batch only where all replicas have as many examples. In the last batch of an epoch they seldom
have: 13 examples in batches of 8 leave 5, which are split into 3 and 2, and the two weigh as much as the three.
The loss that `fit` prints is right all the same.
"""

import keras
import numpy as np
import tensorflow as tf

from distribute import GlobalMean

rng = np.random.default_rng(0)
x, y = rng.normal(size=[13, 8]), rng.normal(size=[13, 1])


def batches():
    """8 and 5 examples."""
    return tf.data.Dataset.from_tensor_slices((x, y)).batch(8)


def wrong():
    """The mean over each replica's examples."""
    model = keras.Sequential([keras.Input([8]), keras.layers.Dense(16, "tanh"), keras.layers.Dense(1)])
    model.compile("sgd", "mse")  # wrong for the last batch
    return model


def mended():
    """The mean over the global batch."""
    model = keras.Sequential([keras.Input([8]), keras.layers.Dense(16, "tanh"), keras.layers.Dense(1)])
    model.compile("sgd", GlobalMean("mse"))
    return model
