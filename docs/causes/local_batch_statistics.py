"""BatchNormalization takes mean and variance of the examples that its own replica has.

With N replicas these are statistics of 1/N of the batch: noisier, and the more so the more GPUs there are. That may be
wanted, and `accept` says so; then see `moving_statistics_not_aggregated`, which comes with it.
"""

import keras
import numpy as np

rng = np.random.default_rng(0)
batches = [(rng.normal(size=[16, 8]), rng.normal(size=[16, 1]))]


def wrong():
    """Statistics of each shard."""
    model = keras.Sequential(
        [
            keras.Input([8]),
            keras.layers.Dense(16, "tanh"),
            keras.layers.BatchNormalization(),  # wrong: over the shard
            keras.layers.Dense(1),
        ]
    )
    model.compile("sgd", "mse")
    return model


def mended():
    """Statistics of the global batch."""
    model = keras.Sequential(
        [
            keras.Input([8]),
            keras.layers.Dense(16, "tanh"),
            keras.layers.BatchNormalization(synchronized=True),
            keras.layers.Dense(1),
        ]
    )
    model.compile("sgd", "mse")
    return model
