"""What is never zero on one device may be zero on a replica: here the number of examples that have a label.

0/0 is NaN, the sum over replicas is NaN, and so are the weights of all.
"""

import keras
import numpy as np
import tensorflow as tf

from distribute import Program, global_mean

rng = np.random.default_rng(0)
x, y = rng.normal(size=[16, 8]), rng.normal(size=[16, 1])
has_label = np.arange(16) < 6  # none of the second replica's examples has
batches = [(x, y, has_label)]


def wrong():
    """Divides by the number of labels in the shard."""
    model = keras.Sequential([keras.Input([8]), keras.layers.Dense(16, "tanh"), keras.layers.Dense(1)])
    optimizer = keras.optimizers.SGD(0.1)

    def train_step(batch):
        x, y, has_label = batch
        with tf.GradientTape() as tape:
            losses = keras.losses.mean_squared_error(y, model(x))
            counted = tf.cast(has_label, losses.dtype)
            loss = tf.reduce_sum(losses * counted) / tf.reduce_sum(counted)  # wrong: may be 0/0
            loss /= tf.distribute.get_strategy().num_replicas_in_sync
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables))
        return {"loss": loss}

    return Program(train_step, model=model, optimizer=optimizer)


def mended():
    """Divides by the number of labels in the global batch."""
    model = keras.Sequential([keras.Input([8]), keras.layers.Dense(16, "tanh"), keras.layers.Dense(1)])
    optimizer = keras.optimizers.SGD(0.1)

    def train_step(batch):
        x, y, has_label = batch
        with tf.GradientTape() as tape:
            loss = global_mean(keras.losses.mean_squared_error(y, model(x)), has_label)
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables))
        return {"loss": loss}

    return Program(train_step, model=model, optimizer=optimizer)
