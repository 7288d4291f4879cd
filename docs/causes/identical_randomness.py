"""A Keras layer draws from a seed, and the seed is the same on every replica.

All replicas drop the same units, so a batch sees one mask where it should see N: less regularisation with every GPU.
Gradients are right for the masks that were drawn; what `verify` compares here is the draws.
"""

import keras
import numpy as np

from distribute import per_replica_randomness

rng = np.random.default_rng(0)
batches = [(rng.normal(size=[16, 8]), rng.normal(size=[16, 1]))]


def wrong():
    """One mask for all."""
    model = keras.Sequential(
        [
            keras.Input([8]),
            keras.layers.Dense(16, "tanh"),
            keras.layers.Dropout(0.5),  # wrong: the same units on all replicas
            keras.layers.Dense(1),
        ]
    )
    model.compile("sgd", "mse")
    return model


def mended():
    """A mask for each replica."""
    model = keras.Sequential(
        [
            keras.Input([8]),
            keras.layers.Dense(16, "tanh"),
            keras.layers.Dropout(0.5),
            keras.layers.Dense(1),
        ]
    )
    per_replica_randomness(model)
    model.compile("sgd", "mse")
    return model
