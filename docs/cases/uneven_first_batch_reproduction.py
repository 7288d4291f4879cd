"""Plain Keras, two replicas: `fit` fails where the first batch has an odd number of examples.

`_maybe_symbolic_build` wants the shape of a batch, and for it takes the mean over replicas of the examples themselves
(`distribute_strategy.reduce("MEAN", batch, axis=None)`), which needs shards of one size. The first shard would do.
"""

import re

import keras
import numpy as np
import tensorflow as tf

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
x, y = np.ones([13, 8], "float32"), np.ones([13, 1], "float32")


def outcome(strategy):
    """What `fit` does with one batch of 13 examples."""
    with strategy.scope():
        model = keras.Sequential([keras.Input([8]), keras.layers.Dense(1)])
        model.compile("sgd", "mse")
    try:
        model.fit(tf.data.Dataset.from_tensor_slices((x, y)).batch(13), verbose=0)
    except tf.errors.OpError as error:
        return f"{type(error).__name__}: {re.search('Inputs to operation.*(?= .Op)', str(error)).group()}"
    return "trains"


print(f"expected, as on one device: {outcome(tf.distribute.get_strategy())}")
print(f"actual, on two replicas:    {outcome(tf.distribute.MirroredStrategy(['CPU:0', 'CPU:1']))}")
