"""Plain Keras, two replicas: the moving statistics that are saved are those of the first replica alone.

`moving_mean` and `moving_variance` are made without an aggregation; tf-keras made them with ON_READ and MEAN.
"""

import tempfile

import keras
import numpy as np
import tensorflow as tf

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
x = np.repeat(np.float32([[0.0], [100.0]]), 8, axis=0)  # one half of the batch for each replica


def saved_moving_mean(strategy):
    """What a file holds after one step on the batch, momentum 0.5; it begins with 0."""
    with strategy.scope():
        layer = keras.layers.BatchNormalization(momentum=0.5)
        model = keras.Sequential([keras.Input([1]), layer])
        model.compile("sgd", "mse")
    model.fit(tf.data.Dataset.from_tensor_slices((x, x)).batch(16), verbose=0)
    with tempfile.NamedTemporaryFile(suffix=".keras") as file:
        model.save(file.name)
        loaded = keras.models.load_model(file.name)
    return float(loaded.layers[0].moving_mean[0])


print(f"moving mean in the file, expected, as on one device: {saved_moving_mean(tf.distribute.get_strategy()):g}")
two = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
print(f"moving mean in the file, actual, on two replicas:    {saved_moving_mean(two):g}")
