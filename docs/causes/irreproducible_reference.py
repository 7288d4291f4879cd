"""NumPy and Python draw while the step is traced, and TensorFlow keeps what they drew as a constant.

Every trace has another constant, so no two runs agree, on one device either, and N replicas cannot be compared with
anything. It is a bug by itself: the "random" noise is the same in every step of a run.
"""

import keras
import numpy as np

from distribute import per_replica_randomness

rng = np.random.default_rng(0)
batches = [(rng.normal(size=[16, 8]), rng.normal(size=[16, 1]))]


class NumpyNoise(keras.layers.Layer):
    """Adds noise in training."""

    def call(self, x, training=False):
        """Draws once for each trace."""
        return x + np.random.normal(scale=0.1, size=x.shape[1:]) if training else x  # wrong: NumPy


def wrong():
    """Noise of NumPy's."""
    model = keras.Sequential([keras.Input([8]), NumpyNoise(), keras.layers.Dense(16, "tanh"), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    return model


def mended():
    """Noise of Keras', other on each replica."""
    noise = keras.layers.GaussianNoise(0.1)
    model = keras.Sequential([keras.Input([8]), noise, keras.layers.Dense(16, "tanh"), keras.layers.Dense(1)])
    per_replica_randomness(model)
    model.compile("sgd", "mse")
    return model
