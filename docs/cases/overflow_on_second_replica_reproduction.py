"""Plain Keras, two replicas: `LossScaleOptimizer` applies an overflow that the first replica does not have.

`LossScaleOptimizer._tf_apply` takes `finite` from the first replica, "since `grads` is all-reduced across replicas". In
Keras 3 gradients are all-reduced later, in `TFOptimizer`, so each replica's `finite` is about its own gradients.
"""

import keras
import numpy as np
import tensorflow as tf

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)


def after_overflow(strategy, row):
    """Weight and scale after a step in which the target of one of two examples overflows, the rest is finite."""
    x, y = np.ones([2, 1], "float32"), np.zeros([2, 1], "float32")
    y[row] = 1e38
    with strategy.scope():
        model = keras.Sequential([keras.Input([1]), keras.layers.Dense(1, use_bias=False, kernel_initializer="ones")])
        optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.1), initial_scale=1024.0)
        model.compile(optimizer, "mse", jit_compile=False)
    model.fit(tf.data.Dataset.from_tensor_slices((x, y)).batch(2), verbose=0)
    scale = strategy.experimental_local_results(optimizer.dynamic_scale.value)[0]
    return f"weight {model.get_weights()[0][0, 0]:g}, scale {scale.numpy():g}"


two = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
print(f"expected, as on one device:         {after_overflow(tf.distribute.get_strategy(), row=1)}")
print(f"actual, overflow on first replica:  {after_overflow(two, row=0)}")
print(f"actual, overflow on second replica: {after_overflow(two, row=1)}")
