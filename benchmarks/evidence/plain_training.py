"""Two virtual GPUs of 1,024 MiB and one convolution, as a tutorial writes it: nothing of this project's.

It shows what TensorFlow itself does where the memory that was promised to it is not there.
"""

import keras
import tensorflow as tf

if __name__ == "__main__":
    gpu = tf.config.list_physical_devices("GPU")[0]
    one = tf.config.LogicalDeviceConfiguration(memory_limit=1024)
    tf.config.set_logical_device_configuration(gpu, [one, one])
    with tf.distribute.MirroredStrategy().scope():
        model = keras.Sequential([keras.layers.Conv2D(32, 3), keras.layers.Flatten(), keras.layers.Dense(10)])
        model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(tf.zeros([256, 28, 28, 1]), tf.zeros([256]), batch_size=64, verbose=2)
    print("trained")
