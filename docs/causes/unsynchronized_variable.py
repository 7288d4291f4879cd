"""A variable that a layer writes in training gets each replica's own value, unless the layer combines them.

From then on the replicas compute with different numbers, and the first one's are saved.
"""

import keras
import numpy as np
import tensorflow as tf

rng = np.random.default_rng(0)
batches = [(rng.normal(2, 1, size=[16, 8]), rng.normal(size=[16, 1]))]


class WrongCentering(keras.layers.Layer):
    """Subtracts a moving mean of its inputs."""

    def build(self, shape):
        """Makes the moving mean, which is not trained."""
        self.mean = self.add_weight(shape=[shape[-1]], trainable=False, name="mean")

    def call(self, x, training=False):
        """Centres, and remembers in training."""
        y = x - self.mean
        if training:
            self.mean.assign(0.9 * self.mean + 0.1 * tf.reduce_mean(x, axis=0))  # wrong: the shard's mean
        return y


def wrong():
    """A model with this layer."""
    model = keras.Sequential([keras.Input([8]), WrongCentering(), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    return model


class MendedCentering(WrongCentering):
    """The same, with a mean over all replicas."""

    def call(self, x, training=False):
        """Centres, and remembers in training."""
        y = x - self.mean
        context = tf.distribute.get_replica_context()  # None while Keras builds the model
        if training and context is not None:
            batch_mean = context.all_reduce("MEAN", tf.reduce_mean(x, axis=0))
            self.mean.assign(0.9 * self.mean + 0.1 * batch_mean)
        return y


def mended():
    """A model with that layer."""
    model = keras.Sequential([keras.Input([8]), MendedCentering(), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    return model
