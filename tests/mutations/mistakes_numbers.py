"""Mistakes with overflow, NaN, and numbers that differ from run to run."""

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from .base_programs import (
    CONV,
    EMBEDDING,
    MLP,
    NORMALIZED,
    compiled,
    half_precision,
    in_every_program,
    mean_over_all,
    mlp,
    num_replicas,
    replica_id,
    synchronized,
)
from .cases import planted
from .data import even, images, rows, sentences
from .weighted_programs import labelled_images, measured_squares, pixel_entropies, segmenter

# --- overflow


def loss_scaling() -> keras.Optimizer:
    return keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.1), initial_scale=1024.0)


def loss_scaling_adam() -> keras.Optimizer:
    return keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam(0.01))


LOSS_SCALE = planted(
    "loss_scale_per_replica",
    *in_every_program("LossScaleOptimizer", optimizer=loss_scaling),
    ("mlp", "around Adam", replace(MLP, optimizer=loss_scaling_adam), even(rows)),
    ("compiled", "LossScaleOptimizer", compiled(optimizer=loss_scaling), even(rows)),
    ("compiled", "float16 layers", compiled(half_precision, loss_scaling_adam), even(rows)),
)


# --- no numbers


def nothing_valid_at_the_end(make: Callable[[int, int], Any], mark: Any) -> Callable[[int, int], Any]:
    """The last three examples, which are the last replica's share, hold no valid target."""

    def batch(size: int, seed: int) -> Any:
        inputs, targets = (array.copy() for array in make(size, seed))
        (inputs if inputs.dtype.kind == "i" else targets)[-3:] = mark
        return inputs, targets

    return batch


def not_a_number_at(make: Callable[[int, int], Any]) -> Callable[[int, int], Any]:
    """A broken example in the data, so that one device has it as well."""

    def batch(size: int, seed: int) -> Any:
        inputs, *others = make(size, seed)
        inputs[-1] = np.nan
        return (inputs, *others)

    return batch


def scaled_by_share(losses: tf.Tensor, units: tf.Tensor, model: keras.Model) -> tf.Tensor:
    """A shard without a valid target divides 0 by 0."""
    return mean_over_all(losses, units, model) * (tf.reduce_sum(units) / tf.reduce_sum(units))


def poisoned(gradients: Sequence[tf.Tensor]) -> Sequence[tf.Tensor]:
    """0/0 on the last replica only."""
    last = (replica_id() == num_replicas() - 1) & (num_replicas() > 1)
    return [tf.convert_to_tensor(g) + tf.cast(tf.where(last, np.nan, 0.0), g.dtype) for g in gradients]


def balanced_loss() -> Callable[[Any, Any], Any]:
    """Weighs the targets that were measured so that their mean weight is 1."""

    def loss(true: Any, predicted: Any) -> Any:
        measured = tf.cast(true != 0, predicted.dtype)
        return tf.square(predicted - true) * measured / tf.reduce_mean(measured)

    return loss


NOT_FINITE = planted(
    "non_finite",
    (
        "conv",
        "shard without a label",
        replace(CONV, model=segmenter, losses=pixel_entropies, loss=scaled_by_share),
        even(nothing_valid_at_the_end(labelled_images, -1)),
    ),
    (
        "mlp",
        "shard without a target",
        replace(MLP, losses=measured_squares, loss=scaled_by_share),
        even(nothing_valid_at_the_end(rows, 0)),
    ),
    ("mlp", "NaN in the data", MLP, even(not_a_number_at(rows))),
    ("batch_norm", "NaN on the last replica", replace(NORMALIZED, change=poisoned), even(rows)),
    (
        "embedding",
        "shard without a token",
        replace(EMBEDDING, loss=scaled_by_share),
        even(nothing_valid_at_the_end(sentences, 0)),
    ),
    ("compiled", "shard without a target", compiled(loss=balanced_loss), even(nothing_valid_at_the_end(rows, 0))),
)


# --- a program that does not repeat itself


def jittered(losses: tf.Tensor, units: tf.Tensor, model: keras.Model) -> tf.Tensor:
    """A random factor of Python's, drawn when the step is traced."""
    return mean_over_all(losses, units, model) * random.uniform(0.5, 1.5)


def noisy(gradients: Sequence[tf.Tensor]) -> Sequence[tf.Tensor]:
    """NumPy's, drawn at each step."""
    factor = tf.numpy_function(lambda: np.random.uniform(0.5, 1.5), [], tf.float64)  # noqa: NPY002
    return [tf.convert_to_tensor(gradient) * tf.cast(factor, gradient.dtype) for gradient in gradients]


class NumpyNoise(keras.layers.Layer):
    """Augmentation with NumPy, which draws once for each trace."""

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        noise = np.random.normal(size=inputs.shape[1:])  # noqa: NPY002
        return inputs + tf.cast(noise, inputs.dtype) if training else inputs


def shuffled_weights() -> Callable[[Any, Any], Any]:
    return lambda true, predicted: tf.square(predicted - true) * random.uniform(0.5, 1.5)


IRREPRODUCIBLE = planted(
    "irreproducible_reference",
    ("conv", "random factor", replace(CONV, loss=jittered), even(images)),
    ("mlp", "NumPy noise on gradients", replace(MLP, change=noisy), even(rows)),
    (
        "batch_norm",
        "NumPy noise in a layer",
        replace(NORMALIZED, model=lambda: mlp(synchronized(), NumpyNoise())),
        even(rows),
    ),
    ("embedding", "random factor", replace(EMBEDDING, loss=jittered), even(sentences)),
    ("compiled", "random weight in the loss", compiled(loss=shuffled_weights), even(rows)),
    ("compiled", "NumPy noise in a layer", compiled(lambda: mlp(NumpyNoise())), even(rows)),
)

MISTAKES = [*LOSS_SCALE, *NOT_FINITE, *IRREPRODUCIBLE]
