"""A `keras.losses.Loss` called in a replica divides by the number of replicas itself, so that the sum is a mean.

The line that many guides recommend, "divide the loss by the number of replicas", divides once more: the step is N times
too short. Nothing diverges, training only gets slower with every GPU that is added.
"""

import keras
import numpy as np
import tensorflow as tf

from distribute import Program

rng = np.random.default_rng(0)
batches = [(rng.normal(size=[16, 8]), rng.normal(size=[16, 1]))]


def wrong():
    """Divided by Keras, and by hand."""
    model = keras.Sequential([keras.Input([8]), keras.layers.Dense(16, "tanh"), keras.layers.Dense(1)])
    optimizer = keras.optimizers.SGD(0.1)
    loss_of = keras.losses.MeanSquaredError()

    def train_step(batch):
        x, y = batch
        with tf.GradientTape() as tape:
            loss = loss_of(y, model(x))
            loss /= tf.distribute.get_strategy().num_replicas_in_sync  # wrong: Keras did that
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables))
        return {"loss": loss}

    return Program(train_step, model=model, optimizer=optimizer)


def mended():
    """Divided by Keras."""
    model = keras.Sequential([keras.Input([8]), keras.layers.Dense(16, "tanh"), keras.layers.Dense(1)])
    optimizer = keras.optimizers.SGD(0.1)
    loss_of = keras.losses.MeanSquaredError()

    def train_step(batch):
        x, y = batch
        with tf.GradientTape() as tape:
            loss = loss_of(y, model(x))
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables))
        return {"loss": loss}

    return Program(train_step, model=model, optimizer=optimizer)
