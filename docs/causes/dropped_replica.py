"""`HierarchicalCopyAllReduce` sums within two halves of the devices first. With an odd number one is in neither half.

Its gradient is lost without a word: with three GPUs a third of the data trains nothing. Leave the choice to TensorFlow,
or take `distribute.make_strategy`, which also knows what virtual devices need. `verify(…, strategy=…)` checks either.
"""

import keras
import numpy as np
import tensorflow as tf

from distribute import make_strategy

rng = np.random.default_rng(0)
batches = [(rng.normal(size=[12, 8]), rng.normal(size=[12, 1]))]
replicas = 3


def wrong():
    """Any model."""
    model = keras.Sequential([keras.Input([8]), keras.layers.Dense(16, "tanh"), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    return model


def wrong_strategy(devices):
    """`devices` is what `split_device(3)` returned."""
    cross_device_ops = tf.distribute.HierarchicalCopyAllReduce()  # wrong where the number of replicas is odd
    return tf.distribute.MirroredStrategy(list(devices.names), cross_device_ops=cross_device_ops)


mended = wrong  # the model was right


def mended_strategy(devices):
    """Sums over all of them."""
    return make_strategy(devices)
