"""Half precision needs a scaled loss, and a step that overflows is skipped. Keras asks the first replica only.

An overflow on another replica is applied: the weights become infinite, and the scale stays as it is. It never happens
in a short check, so `verify` plants one on each replica in turn. `mixed_float16` uses this optimizer by itself.
"""

import keras
import numpy as np

from distribute import AllReplicasLossScaleOptimizer

rng = np.random.default_rng(0)
batches = [(rng.normal(size=[16, 8]), rng.normal(size=[16, 1]))]


def wrong():
    """Skips a step that overflows on the first replica."""
    model = keras.Sequential([keras.Input([8]), keras.layers.Dense(16, "tanh"), keras.layers.Dense(1)])
    optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.1))  # wrong: asks the first replica only
    model.compile(optimizer, "mse")
    return model


def mended():
    """Skips a step that overflows on any replica."""
    model = keras.Sequential([keras.Input([8]), keras.layers.Dense(16, "tanh"), keras.layers.Dense(1)])
    optimizer = AllReplicasLossScaleOptimizer(keras.optimizers.SGD(0.1))
    model.compile(optimizer, "mse")
    return model
