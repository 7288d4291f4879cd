"""A metric that is no mean over examples cannot be averaged over replicas: a root of a mean, a maximum, a perplexity.

Training is right; the number that is reported, and by which the best model is chosen, is not.
"""

import keras
import numpy as np

rng = np.random.default_rng(0)
batches = [(rng.normal(size=[16, 8]), rng.normal(size=[16, 1]))]


def wrong():
    """The mean of each replica's root mean square."""

    def root_mean_square(true, predicted):
        return keras.ops.sqrt(keras.ops.mean(keras.ops.square(true - predicted)))  # wrong: the root of the shard

    model = keras.Sequential([keras.Input([8]), keras.layers.Dense(16, "tanh"), keras.layers.Dense(1)])
    model.compile("sgd", "mse", metrics=[root_mean_square])
    return model


def mended():
    """Sums and counts add up over replicas, the root comes last."""
    model = keras.Sequential([keras.Input([8]), keras.layers.Dense(16, "tanh"), keras.layers.Dense(1)])
    model.compile("sgd", "mse", metrics=[keras.metrics.RootMeanSquaredError()])
    return model
