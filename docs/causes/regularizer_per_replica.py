"""`model.losses` does not depend on the batch: every replica adds the same term, and their sum has it N times.

The weight decay grows with the number of GPUs. `fit` divides these losses itself; a step of one's own has to.
"""

import keras
import numpy as np
import tensorflow as tf

from distribute import Program, global_mean

rng = np.random.default_rng(0)
batches = [(rng.normal(size=[16, 8]), rng.normal(size=[16, 1]))]


def wrong():
    """The whole penalty on each replica."""
    hidden = keras.layers.Dense(16, "tanh", kernel_regularizer=keras.regularizers.L2(0.01))
    model = keras.Sequential([keras.Input([8]), hidden, keras.layers.Dense(1)])
    optimizer = keras.optimizers.SGD(0.1)

    def train_step(batch):
        x, y = batch
        with tf.GradientTape() as tape:
            loss = global_mean(keras.losses.mean_squared_error(y, model(x)))
            loss += sum(model.losses)  # wrong: on each replica
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables))
        return {"loss": loss}

    return Program(train_step, model=model, optimizer=optimizer)


def mended():
    """A share of the penalty on each replica."""
    hidden = keras.layers.Dense(16, "tanh", kernel_regularizer=keras.regularizers.L2(0.01))
    model = keras.Sequential([keras.Input([8]), hidden, keras.layers.Dense(1)])
    optimizer = keras.optimizers.SGD(0.1)

    def train_step(batch):
        x, y = batch
        with tf.GradientTape() as tape:
            loss = global_mean(keras.losses.mean_squared_error(y, model(x)))
            loss += sum(model.losses) / tf.distribute.get_strategy().num_replicas_in_sync
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables))
        return {"loss": loss}

    return Program(train_step, model=model, optimizer=optimizer)
