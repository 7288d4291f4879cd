"""`optimizer.apply_gradients` sums over replicas. Whoever has summed by hand, as with Horovod, sums twice.

The second sum adds N gradients that are the same already, so the step is N times too long.
"""

import keras
import numpy as np
import tensorflow as tf

from distribute import Program, global_mean

rng = np.random.default_rng(0)
batches = [(rng.normal(size=[16, 8]), rng.normal(size=[16, 1]))]


def wrong():
    """Reduced by hand and by the optimizer."""
    model = keras.Sequential([keras.Input([8]), keras.layers.Dense(16, "tanh"), keras.layers.Dense(1)])
    optimizer = keras.optimizers.SGD(0.1)

    def train_step(batch):
        x, y = batch
        with tf.GradientTape() as tape:
            loss = global_mean(keras.losses.mean_squared_error(y, model(x)))
        gradients = tape.gradient(loss, model.trainable_variables)
        gradients = tf.distribute.get_replica_context().all_reduce("SUM", gradients)  # wrong: the next line does it
        optimizer.apply_gradients(zip(gradients, model.trainable_variables))
        return {"loss": loss}

    return Program(train_step, model=model, optimizer=optimizer)


def mended():
    """Reduced by the optimizer."""
    model = keras.Sequential([keras.Input([8]), keras.layers.Dense(16, "tanh"), keras.layers.Dense(1)])
    optimizer = keras.optimizers.SGD(0.1)

    def train_step(batch):
        x, y = batch
        with tf.GradientTape() as tape:
            loss = global_mean(keras.losses.mean_squared_error(y, model(x)))
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables))
        return {"loss": loss}

    return Program(train_step, model=model, optimizer=optimizer)
