"""Programs and data that the tests of memory name as targets: healthy ones, and the planted faults."""

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
