"""The rule "N GPUs, N times the learning rate" belongs to a global batch that grows with N.

Here the global batch stays and each replica gets a share of it, so the gradient is the same as on one device, and so
must be the learning rate. Who lets the batch grow may scale it, with the batch size and not with the replicas.
"""

import keras
import numpy as np
import tensorflow as tf

rng = np.random.default_rng(0)
batches = [(rng.normal(size=[16, 8]), rng.normal(size=[16, 1]))]


def wrong():
    """Scaled with the number of replicas."""
    model = keras.Sequential([keras.Input([8]), keras.layers.Dense(16, "tanh"), keras.layers.Dense(1)])
    learning_rate = 0.1 * tf.distribute.get_strategy().num_replicas_in_sync  # wrong: the batch is the same
    model.compile(keras.optimizers.SGD(learning_rate), "mse")
    return model


def mended():
    """As on one device."""
    model = keras.Sequential([keras.Input([8]), keras.layers.Dense(16, "tanh"), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.1), "mse")
    return model
