"""A saved model holds the moving statistics of the first replica only: not reported for Keras 3, to our knowledge.

Plain `BatchNormalization` normalises over each replica's examples, which is documented, and keeps moving statistics of
each, which is not. What is loaded is another model than was trained. `synchronized=True` has neither trouble;
`distribute.average_moving_statistics` keeps the mean of all replicas. (tensorflow#46488, closed, tells of it in 2.3.)
"""

import keras
import numpy as np

rng = np.random.default_rng(0)
x = rng.normal(size=[16, 8])
x[8:] += 100  # around 0 for the first replica, around 100 for the second
batches = [(x, rng.normal(size=[16, 1]))]


def build():
    """Normalises over the batch and remembers half of what it saw."""
    normalization = keras.layers.BatchNormalization(momentum=0.5)
    model = keras.Sequential([keras.Input([8]), normalization, keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    return model
