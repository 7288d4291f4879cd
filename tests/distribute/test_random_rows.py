"""Randomness is taken out by example: each one gets numbers of its own, the same ones in every run."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from distribute import Program, global_mean
from distribute.equivalence_check.example_rows import NUM_ROWS, row_numbers

from .programs import FEATURES, batch, dense, failed, quick

NOISE = 4


def generative(*, synchronized):
    """A generator as DCGANs have it, and a discriminator, each with its own optimizer."""

    def build():
        generator = keras.Sequential(
            [
                keras.Input([NOISE]),
                keras.layers.Dense(16, use_bias=False),
                keras.layers.BatchNormalization(synchronized=synchronized),
                keras.layers.LeakyReLU(0.2),
                keras.layers.Dense(FEATURES),
            ]
        )
        discriminator = dense()
        optimizers = [keras.optimizers.SGD(0.1), keras.optimizers.SGD(0.1)]

        def train_step(data):
            real = tf.cast(data[0], generator.compute_dtype)
            noise = tf.random.normal([tf.shape(real)[0], NOISE], dtype=real.dtype)
            with tf.GradientTape(persistent=True) as tape:
                made = global_mean(discriminator(generator(noise, training=True))[:, 0])
                loss = made - global_mean(discriminator(real)[:, 0])
                cheated = -made
            for optimizer, model, part in zip(optimizers, (generator, discriminator), (cheated, loss), strict=True):
                gradients = tape.gradient(part, model.trainable_variables)
                optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
            return {"loss": loss}

        return Program(train_step, model=[generator, discriminator], optimizer=optimizers)

    return build


def trained_with(loss):
    """`loss(model, x, y)` of a small model, under SGD."""

    def build():
        model, optimizer = dense(), keras.optimizers.SGD(0.1)
        optimizer.build(model.trainable_variables)

        def train_step(data):
            x, y = (tf.cast(part, model.compute_dtype) for part in data)
            with tf.GradientTape() as tape:
                value = loss(model, x, y)
            gradients = tape.gradient(value, model.trainable_variables)
            optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
            return {"loss": value}

        return Program(train_step, model=model, optimizer=optimizer)

    return build


def squared(model, x, y):
    return tf.reduce_sum(tf.square(model(x) - y), axis=-1)


def masked(mean):
    """Some numbers of each example are hidden, as in masked modelling; `mean(errors, hidden)` is over those."""

    def loss(model, x, y):
        hidden = tf.cast(tf.random.uniform(tf.shape(x)) < 0.4, x.dtype)
        return mean(squared(model, x * (1 - hidden), y), tf.reduce_sum(hidden, axis=-1))

    return trained_with(loss)


def mean_of_the_shard(errors, weights):
    mean = tf.reduce_sum(errors * weights) / tf.reduce_sum(weights)
    return mean / tf.distribute.get_strategy().num_replicas_in_sync


class TestNoiseOfExamples:
    @pytest.mark.parametrize("num_replicas", [2, pytest.param(3, marks=pytest.mark.proof)])
    def test_that_right_code_generates_from_passes(self, num_replicas):
        quick(generative(synchronized=True), [batch(12)], num_replicas).raise_if_failed()

    def test_shows_statistics_of_the_shard(self):
        report = quick(generative(synchronized=False), [batch(12)])
        assert report.causes[0] == "local_batch_statistics"

    def test_shows_a_mean_over_what_a_shard_has_hidden(self):
        assert "gradient_equivalence/float64" in failed(quick(masked(mean_of_the_shard), [batch(12)]))
        quick(masked(global_mean), [batch(12)]).raise_if_failed()

    def test_is_the_same_in_a_batch_of_another_size(self):
        quick(masked(global_mean), [batch(12), batch(7, seed=1)]).raise_if_failed()


class TestOtherNoise:
    @pytest.mark.parametrize("size", [12, 24])  # as many as in the batch, and as in a shard
    def test_on_weights_that_are_as_many_as_examples_is_one_for_all(self, size):
        def loss(model, x, y):
            noise = tf.random.normal([12, FEATURES], dtype=x.dtype)
            return global_mean(squared(model, x + tf.reduce_mean(tf.square(noise), axis=0), y))

        quick(trained_with(loss), [batch(size)]).raise_if_failed()

    def test_of_selected_examples_is_one_for_all(self):
        def loss(model, x, y):
            chosen = tf.boolean_mask(x, y[:, 0] > 0)
            noisy = chosen + tf.random.normal(tf.shape(chosen), dtype=x.dtype)
            return global_mean(squared(model, x, y)) + global_mean(
                tf.reduce_sum(tf.square(noisy), axis=-1) * tf.reduce_mean(tf.square(model.trainable_variables[0]))
            )

        x, y = batch(12)
        y = np.where(np.arange(12)[:, None] < 6, np.abs(y) + 1, y)  # all of the first shard are chosen
        quick(trained_with(loss), [(x, y.astype("float32"))]).raise_if_failed()


class TestRowNumbers:
    def numbers(self, *leaves):
        return row_numbers(leaves).numpy()

    def test_are_those_of_the_content_wherever_it_stands_and_in_every_dtype(self):
        x, y = batch(12)
        numbers = self.numbers(x, y)
        assert len(set(numbers)) > NUM_ROWS // 4
        assert list(self.numbers(x[5:9], y[5:9])) == list(numbers[5:9])
        assert list(self.numbers(x.astype("float64"), y)) == list(numbers)
        moved = np.nextafter(x, np.inf)
        assert list(self.numbers(moved, y)) == list(numbers)

    @pytest.mark.parametrize(
        "leaf",
        [
            np.array([[b"a"], [b"bc"], [b""]]),
            np.array([True, False, True]),
            np.array([[1, -2], [3, 4], [0, 0]]),
            np.array([np.nan, np.inf, 1.0]),
            np.array([1.0, 2.0, 3.0], tf.bfloat16.as_numpy_dtype),
            np.zeros([3, 0]),
        ],
    )
    def test_are_there_for_whatever_a_batch_holds(self, leaf):
        numbers = self.numbers(leaf)
        assert numbers.shape == (3,)
        assert ((numbers >= 0) & (numbers < NUM_ROWS)).all()

    def test_of_no_examples(self):
        assert self.numbers(np.zeros([0, 4])).shape == (0,)
