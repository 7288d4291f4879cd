"""Parts of programs in which not every unit counts as much: weights of examples, pixels and targets left out."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from .base_programs import Batch, Losses
from .data import CLASSES, rows


def weighted(losses_of: Callable[[keras.Model, Batch], Losses]) -> Callable[[keras.Model, Batch], Losses]:
    """The last array of the batch weighs examples."""

    def losses(model: keras.Model, batch: Batch) -> Losses:
        *plain, weights = batch
        each, units = losses_of(model, tuple(plain))
        weights = tf.reshape(tf.cast(weights, each.dtype), [-1] + [1] * (each.shape.rank - 1))
        return each * weights, units * weights

    return losses


def with_weights(make: Callable[[int, int], Any]) -> Callable[[int, int], Any]:
    def batch(size: int, seed: int) -> Any:
        weights = np.random.default_rng(seed + 100).uniform(0.2, 3.0, size).astype("float32")
        return (*make(size, seed), weights)

    return batch


def segmenter() -> keras.Model:
    """A class for each pixel."""
    return keras.Sequential(
        [
            keras.Input((6, 6, 1)),
            keras.layers.Conv2D(3, 3, padding="same", activation="tanh"),
            keras.layers.Conv2D(CLASSES, 1),
        ]
    )


def labelled_images(size: int, seed: int = 0) -> tuple[np.ndarray, ...]:
    """Pixels labelled -1 do not count; there are more of them towards the end."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, CLASSES, (size, 6, 6))
    void = rng.uniform(size=labels.shape) < np.linspace(0.05, 0.8, size)[:, None, None]
    return rng.normal(size=(size, 6, 6, 1)).astype("float32"), np.where(void, -1, labels).astype("int32")


def pixel_entropies(model: keras.Model, batch: Batch) -> Losses:
    images, labels = batch
    logits = model(images, training=True)
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(tf.maximum(labels, 0), logits)
    valid = tf.cast(labels >= 0, losses.dtype)
    return losses * valid, valid


def rows_with_gaps(size: int, seed: int = 0) -> tuple[np.ndarray, ...]:
    """A target of zero was not measured; the first example of each three lacks it, and more towards the end."""
    inputs, targets = rows(size, seed)
    missing = np.random.default_rng(seed + 7).uniform(size=size) < np.linspace(0.1, 0.6, size)
    missing[0], missing[-1] = False, False
    missing[1] = True
    return inputs, np.where(missing[:, None], 0, targets).astype("float32")


def measured_squares(model: keras.Model, batch: Batch) -> Losses:
    inputs, targets = batch
    predictions = model(inputs, training=True)
    targets = tf.cast(targets, predictions.dtype)
    measured = tf.cast(targets[:, 0] != 0, predictions.dtype)
    return tf.square(predictions - targets)[:, 0] * measured, measured
