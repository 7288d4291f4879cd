"""`tf.reduce_mean` in a replica is the mean over that replica's shard, and `apply_gradients` SUMS over replicas.

Two means over half a batch each add up to twice the mean: the step is N times too long, and the learning rate that was
right on one device diverges on eight. The loss that is printed looks right, since it is often averaged again.
"""

import keras
import numpy as np
import tensorflow as tf

from distribute import Program, global_mean

rng = np.random.default_rng(0)
batches = [(rng.normal(size=[16, 8]), rng.normal(size=[16, 1]))]


def wrong():
    """The mean over the shard."""
    model = keras.Sequential([keras.Input([8]), keras.layers.Dense(16, "tanh"), keras.layers.Dense(1)])
    optimizer = keras.optimizers.SGD(0.1)

    def train_step(batch):
        x, y = batch
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(keras.losses.mean_squared_error(y, model(x)))  # wrong: the mean over the shard
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables))
        return {"loss": loss}

    return Program(train_step, model=model, optimizer=optimizer)


def mended():
    """This replica's part of the mean over the global batch."""
    model = keras.Sequential([keras.Input([8]), keras.layers.Dense(16, "tanh"), keras.layers.Dense(1)])
    optimizer = keras.optimizers.SGD(0.1)

    def train_step(batch):
        x, y = batch
        with tf.GradientTape() as tape:
            loss = global_mean(keras.losses.mean_squared_error(y, model(x)))  # the sum over replicas is the mean
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables))
        return {"loss": loss}

    return Program(train_step, model=model, optimizer=optimizer)
