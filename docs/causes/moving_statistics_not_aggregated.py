"""BatchNormalization's moving mean and variance are variables that each replica writes with its own values.

Keras 3 makes them without aggregation: after a step every replica holds others, `evaluate` on N replicas uses all of
them, and a checkpoint holds those of the first replica only. Here normalising over the shard is wanted (`accept`), and
even then the saved model is not the one that was trained. With `synchronized=True` the question does not arise.
"""

import keras
import numpy as np

from distribute import average_moving_statistics

rng = np.random.default_rng(0)
batches = [(rng.normal(size=[16, 8]), rng.normal(size=[16, 1]))]
accept = ["local_batch_statistics"]  # on purpose


def wrong():
    """Each replica keeps its own."""
    model = keras.Sequential(
        [
            keras.Input([8]),
            keras.layers.Dense(16, "tanh"),
            keras.layers.BatchNormalization(),  # wrong: what it remembers is different on each replica
            keras.layers.Dense(1),
        ]
    )
    model.compile("sgd", "mse")
    return model


def mended():
    """All keep the mean of all."""
    model = keras.Sequential(
        [
            keras.Input([8]),
            keras.layers.Dense(16, "tanh"),
            keras.layers.BatchNormalization(),
            keras.layers.Dense(1),
        ]
    )
    average_moving_statistics(model)
    model.compile("sgd", "mse")
    return model
