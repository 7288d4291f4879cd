"""A weighted mean divides by the sum of weights, and a replica only knows the weights of its own examples.

A replica whose examples weigh little then counts as much as one whose examples weigh much. With rare classes weighted
up it is chance who sits together.
"""

import keras
import numpy as np

from distribute import GlobalMean

rng = np.random.default_rng(0)
batches = [(rng.normal(size=[16, 8]), rng.normal(size=[16, 1]), rng.uniform(0.2, 3, size=16))]


def wrong():
    """Divided by the weights of the shard."""
    model = keras.Sequential([keras.Input([8]), keras.layers.Dense(16, "tanh"), keras.layers.Dense(1)])
    loss = keras.losses.MeanSquaredError(reduction="mean_with_sample_weight")  # wrong: of the shard
    model.compile("sgd", loss)
    return model


def mended():
    """Divided by the weights of the global batch."""
    model = keras.Sequential([keras.Input([8]), keras.layers.Dense(16, "tanh"), keras.layers.Dense(1)])
    loss = GlobalMean(keras.losses.MeanSquaredError(reduction="mean_with_sample_weight"))
    model.compile("sgd", loss)
    return model
