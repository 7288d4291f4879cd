"""`fit` fails on a first batch that the replicas do not divide: keras#19246, open.

The training step itself can do it, though not right: `verify` says what `fit` would compute if it got so far. Only the
first batch fails; a later one of 13 trains with the wrong weights. `distribute.pad_last_batch` avoids both.
"""

import keras
import numpy as np
import tensorflow as tf

rng = np.random.default_rng(0)
x, y = rng.normal(size=[13, 8]), rng.normal(size=[13, 1])


def batches():
    """One batch of 13: 7 examples for the first replica, 6 for the second."""
    return tf.data.Dataset.from_tensor_slices((x, y)).batch(13)


def build():
    """Any model."""
    model = keras.Sequential([keras.Input([8]), keras.layers.Dense(16, "tanh"), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    return model
