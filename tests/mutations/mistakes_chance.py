"""Mistakes in what is drawn or read (random numbers, examples) and in numbers that are none (overflow, NaN)."""

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from .base_programs import (
    CONV,
    CUSTOM,
    DATA,
    EMBEDDING,
    EVEN_DATA,
    MLP,
    NORMALIZED,
    compiled,
    conv_net,
    even,
    images,
    mean_over_all,
    mlp,
    num_replicas,
    replica_id,
    rows,
    sentences,
    synchronized,
    tagger,
)
from .cases import Mutation
from .mistakes_weighting import labelled_images, measured_squares, pixel_entropies, segmenter

# --- the same random numbers everywhere


class FixedSeedDropout(keras.layers.Layer):
    """Dropout by hand, whose seed does not depend on the replica."""

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        return tf.nn.experimental.stateless_dropout(inputs, 0.25, seed=[1, 2]) if training else inputs


IDENTICAL = [
    Mutation("identical_randomness", "conv", "SpatialDropout2D", replace(CONV, model=lambda: conv_net(keras.layers.SpatialDropout2D(0.5, seed=2))), even(images)),
    Mutation("identical_randomness", "mlp", "Dropout", replace(MLP, model=lambda: mlp(keras.layers.Dropout(0.5))), even(rows)),
    Mutation("identical_randomness", "mlp", "fixed seed by hand", replace(MLP, model=lambda: mlp(FixedSeedDropout())), even(rows)),
    Mutation("identical_randomness", "batch_norm", "GaussianNoise", replace(NORMALIZED, model=lambda: mlp(synchronized(), keras.layers.GaussianNoise(0.3))), even(rows)),
    Mutation("identical_randomness", "embedding", "Dropout", replace(EMBEDDING, model=lambda: tagger(keras.layers.Dropout(0.3, seed=1))), even(sentences)),
    Mutation("identical_randomness", "compiled", "Dropout", compiled(lambda: mlp(keras.layers.Dropout(0.5, seed=1))), even(rows)),
    Mutation("identical_randomness", "compiled", "AlphaDropout", compiled(lambda: mlp(keras.layers.AlphaDropout(0.3))), even(rows)),
]


# --- the same examples everywhere


def forgotten_shard(make: Callable[[int, int], Any]) -> Callable[[int], Any]:
    """Each reader reads the whole data set."""

    def data(replicas: int) -> Any:
        def dataset(context: tf.distribute.InputContext) -> tf.data.Dataset:
            whole = tf.data.Dataset.from_tensor_slices(make(6 * replicas, 0))
            return whole.batch(context.get_per_replica_batch_size(3 * replicas))

        return dataset

    return data


def shard_zero(make: Callable[[int, int], Any]) -> Callable[[int], Any]:
    """Each reader takes the first one's share."""

    def data(replicas: int) -> Any:
        def dataset(context: tf.distribute.InputContext) -> tf.data.Dataset:
            own = tf.data.Dataset.from_tensor_slices(make(6 * replicas, 0)).shard(context.num_input_pipelines, 0)
            return own.batch(context.get_per_replica_batch_size(3 * replicas), drop_remainder=True)

        return dataset

    return data


REPLICATED = [
    *(Mutation("replicated_input", name, "forgotten shard", step, forgotten_shard(DATA[name])) for name, step in CUSTOM.items()),
    Mutation("replicated_input", "mlp", "always the first shard", MLP, shard_zero(rows)),
    Mutation("replicated_input", "compiled", "forgotten shard", compiled(), forgotten_shard(rows)),
]


# --- overflow


def loss_scaling() -> keras.Optimizer:
    return keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.1), initial_scale=1024.0)


LOSS_SCALE = [
    *(
        Mutation("loss_scale_per_replica", name, "LossScaleOptimizer", replace(step, optimizer=loss_scaling), even(DATA[name]))
        for name, step in CUSTOM.items()
    ),
    Mutation("loss_scale_per_replica", "compiled", "LossScaleOptimizer", compiled(optimizer=loss_scaling), even(rows)),
]


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


def root_of_what_is_left(losses: tf.Tensor, units: tf.Tensor, model: keras.Model) -> tf.Tensor:
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


NOT_FINITE = [
    Mutation("non_finite", "conv", "shard without a label", replace(CONV, model=segmenter, losses=pixel_entropies, loss=root_of_what_is_left), even(nothing_valid_at_the_end(labelled_images, -1))),
    Mutation("non_finite", "mlp", "shard without a target", replace(MLP, losses=measured_squares, loss=root_of_what_is_left), even(nothing_valid_at_the_end(rows, 0))),
    Mutation("non_finite", "mlp", "NaN in the data", MLP, even(not_a_number_at(rows))),
    Mutation("non_finite", "batch_norm", "NaN on the last replica", replace(NORMALIZED, change=poisoned), even(rows)),
    Mutation("non_finite", "embedding", "shard without a token", replace(EMBEDDING, loss=root_of_what_is_left), even(nothing_valid_at_the_end(sentences, 0))),
    Mutation("non_finite", "compiled", "shard without a target", compiled(loss=balanced_loss), even(nothing_valid_at_the_end(rows, 0))),
]


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


IRREPRODUCIBLE = [
    Mutation("irreproducible_reference", "conv", "random factor", replace(CONV, loss=jittered), even(images)),
    Mutation("irreproducible_reference", "mlp", "NumPy noise on gradients", replace(MLP, change=noisy), even(rows)),
    Mutation("irreproducible_reference", "batch_norm", "NumPy noise in a layer", replace(NORMALIZED, model=lambda: mlp(NumpyNoise(), synchronized())), even(rows)),
    Mutation("irreproducible_reference", "embedding", "random factor", replace(EMBEDDING, loss=jittered), even(sentences)),
    Mutation("irreproducible_reference", "compiled", "random weight in the loss", compiled(loss=shuffled_weights), even(rows)),
    Mutation("irreproducible_reference", "compiled", "NumPy noise in a layer", compiled(lambda: mlp(NumpyNoise())), even(rows)),
]

MISTAKES = [*IDENTICAL, *REPLICATED, *LOSS_SCALE, *NOT_FINITE, *IRREPRODUCIBLE]
