"""Only `optimizer.apply_gradients` sums gradients over replicas. An update written by hand does not.

Each replica then trains a model of its own on its shard. Nothing says so: the loss falls, and what is saved is the
model of the first replica, trained on 1/N of the data.
"""

import keras
import numpy as np
import tensorflow as tf

from distribute import Program, global_mean

rng = np.random.default_rng(0)
batches = [(rng.normal(size=[16, 8]), rng.normal(size=[16, 1]))]


def wrong():
    """Gradient descent by hand."""
    model = keras.Sequential([keras.Input([8]), keras.layers.Dense(16, "tanh"), keras.layers.Dense(1)])

    def train_step(batch):
        x, y = batch
        with tf.GradientTape() as tape:
            loss = global_mean(keras.losses.mean_squared_error(y, model(x)))
        gradients = tape.gradient(loss, model.trainable_variables)
        for variable, gradient in zip(model.trainable_variables, gradients):
            variable.assign_sub(0.1 * gradient)  # wrong: the gradient of this replica alone
        return {"loss": loss}

    return Program(train_step, model=model)


def mended():
    """The same with a reduction; `keras.optimizers.SGD(0.1).apply_gradients` would do it itself."""
    model = keras.Sequential([keras.Input([8]), keras.layers.Dense(16, "tanh"), keras.layers.Dense(1)])

    def train_step(batch):
        x, y = batch
        with tf.GradientTape() as tape:
            loss = global_mean(keras.losses.mean_squared_error(y, model(x)))
        gradients = tape.gradient(loss, model.trainable_variables)
        gradients = tf.distribute.get_replica_context().all_reduce("SUM", gradients)
        for variable, gradient in zip(model.trainable_variables, gradients):
            variable.assign_sub(0.1 * gradient)
        return {"loss": loss}

    return Program(train_step, model=model)
