"""Keras clips in each replica, and sums over replicas afterwards.

Two gradients of norm 0.1 that point the same way add up to one of norm 0.2, and two that point in different ways to
less: what is applied is not the clipped gradient of the batch, in length or in direction.
"""

import keras
import numpy as np

from distribute import clip_after_all_reduce

rng = np.random.default_rng(0)
batches = [(rng.normal(size=[16, 8]), rng.normal(size=[16, 1]))]


def wrong():
    """Keras' own clipping."""
    model = keras.Sequential([keras.Input([8]), keras.layers.Dense(16, "tanh"), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.1, global_clipnorm=0.1), "mse")  # wrong: clipnorm, clipvalue are alike
    return model


def mended():
    """The same optimizer, which clips what it applies."""
    model = keras.Sequential([keras.Input([8]), keras.layers.Dense(16, "tanh"), keras.layers.Dense(1)])
    model.compile(clip_after_all_reduce(keras.optimizers.SGD(0.1, global_clipnorm=0.1)), "mse")
    return model
