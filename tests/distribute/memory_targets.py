"""Programs and data that the tests of memory name as targets: healthy ones, and the planted faults."""

import os
import signal
import time

import keras
import numpy as np
import tensorflow as tf

from distribute.program import Program


def conv_net():
    return keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            keras.layers.Conv2D(32, 3, activation="relu"),
            keras.layers.MaxPooling2D(),
            keras.layers.Conv2D(64, 3, activation="relu"),
            keras.layers.MaxPooling2D(),
            keras.layers.Conv2D(64, 3, activation="relu"),
            keras.layers.Flatten(),
            keras.layers.Dense(64, activation="relu"),
            keras.layers.Dense(10),
        ]
    )


def compiled_conv_net():
    model = conv_net()
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    return model


def training_program(model, **further):
    optimizer = keras.optimizers.Adam()

    def loss_of(batch, training):
        images, labels = batch
        losses = keras.losses.sparse_categorical_crossentropy(
            labels, model(images, training=training), from_logits=True
        )
        return tf.reduce_mean(losses)

    def train_step(batch):
        with tf.GradientTape() as tape:
            loss = loss_of(batch, training=True)
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
        return {"loss": loss}

    def evaluate_step(batch):
        return {"loss": loss_of(batch, training=False)}

    return Program(train_step, model=model, optimizer=optimizer, evaluate_step=evaluate_step, **further)


def conv_program():
    return training_program(conv_net())


def images(num_examples=64, global_batch_size=64):
    rng = np.random.default_rng(0)
    examples = (
        rng.normal(size=(num_examples, 28, 28, 1)).astype("float32"),
        rng.integers(0, 10, size=num_examples),
    )
    starts = range(0, num_examples, global_batch_size)
    return [tuple(array[start : start + global_batch_size] for array in examples) for start in starts]


def read_images(context):
    """The user's own pipeline: per-replica batches, as a function of an InputContext."""
    per_replica_batch_size = 64 // context.num_replicas_in_sync
    return tf.data.Dataset.from_tensor_slices(images(256)[0]).shuffle(256).batch(per_replica_batch_size)


def small_program():
    model = keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            keras.layers.Flatten(),
            keras.layers.Dense(256, activation="relu"),
            keras.layers.Dense(10),
        ]
    )
    return training_program(model)


def changed(program, train_step):
    return Program(train_step, model=program.model, optimizer=program.optimizer, variables=program.variables)


def leaking_program(num_values=25_000):
    """Keeps something of every step, here 100 KB in a variable that grows."""
    program = small_program()
    kept = tf.Variable(tf.zeros([0]), shape=[None])

    def train_step(batch):
        kept.assign(tf.concat([kept, tf.random.uniform([num_values])], axis=0))
        return program.train_step(batch)

    return Program(train_step, model=program.model, optimizer=program.optimizer, variables=[kept])


def hoarding_program():
    """Keeps the batches of all steps in a Python list, as code does that collects outputs for later."""
    program, kept = small_program(), []

    def train_step(batch):
        tf.py_function(lambda images: kept.append(images + 1.0), [batch[0]], [])
        return program.train_step(batch)

    return changed(program, train_step)


def program_with_work_for_small_batches(threshold=64, num_values=2**24):
    """Takes another path for a batch smaller than the one it was written for, as padding to a bucket does."""
    program = small_program()

    def train_step(batch):
        values = program.train_step(batch)
        if batch[0].shape[0] < threshold:
            values["loss"] += 1e-30 * tf.reduce_sum(tf.random.uniform([num_values]))
        return values

    return changed(program, train_step)


def program_that_fails_on_small_batches():
    program = small_program()

    def train_step(batch):
        return program.train_step((tf.ensure_shape(batch[0], [64, 28, 28, 1]), batch[1]))

    return changed(program, train_step)


def program_that_evaluates_much():
    """Trains on a shard and evaluates with a workspace of 64 MiB."""
    program = small_program()

    def evaluate_step(batch):
        return tf.reduce_sum(batch[0]) + tf.reduce_sum(tf.random.uniform([2**24]))

    return Program(program.train_step, model=program.model, optimizer=program.optimizer, evaluate_step=evaluate_step)


def program_larger_than_any_machine():
    program = small_program()

    def train_step(batch):
        return {"loss": tf.reduce_sum(tf.random.uniform([2**48])) + program.train_step(batch)["loss"]}

    return changed(program, train_step)


def program_that_dies():
    os.kill(os.getpid(), signal.SIGSEGV)


def build_that_raises():
    print("this is not for the terminal")
    raise ZeroDivisionError("the build divides by nothing")


def build_of_the_wrong_kind():
    return "a string"


def slow_build():
    time.sleep(600)


def broken_data():
    raise LookupError("the data is not there")


def no_batches():
    return []
