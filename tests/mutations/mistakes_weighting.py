"""Mistakes in how much each replica, or each part of the loss, weighs: right on one device, wrong on several."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from .base_programs import (
    CLASSES,
    CONV,
    CUSTOM,
    EMBEDDING,
    EVEN_DATA,
    MLP,
    NORMALIZED,
    Batch,
    Losses,
    ReplicaDropout,
    compiled,
    conv_net,
    even,
    images,
    mean_over_all,
    mlp,
    num_replicas,
    rows,
    sentences,
    synchronized,
    tagger,
    uneven,
)
from .cases import Mutation


def mean_of_means(losses: tf.Tensor, units: tf.Tensor, model: keras.Model) -> tf.Tensor:
    """The mean over the shard, divided by N: the mean over the batch only where all shards count as much.

    What makes them count differently decides the cause: examples, weights, or valid tokens.
    """
    return tf.reduce_sum(losses) / tf.reduce_sum(units) / num_replicas()


def keras_loss(losses: tf.Tensor, units: tf.Tensor, model: keras.Model) -> tf.Tensor:
    """The same by a `keras.Loss` called in the step."""
    each = tf.reshape(losses, (-1, 1))
    return keras.losses.MeanAbsoluteError()(tf.zeros_like(each), each)


# --- numbers of examples


def fewer_than_replicas(make: Callable[[int, int], Any]) -> Callable[[int], list[Any]]:
    """An even batch, then one with an example less than there are replicas."""
    return lambda replicas: [make(3 * replicas, 0), make(replicas - 1, 1)]


def rest_of_one(make: Callable[[int, int], Any]) -> Callable[[int], tf.data.Dataset]:
    """An epoch whose last batch holds a single example, for the first replica."""
    return lambda replicas: tf.data.Dataset.from_tensor_slices(make(4 * replicas + 1, 0)).batch(4 * replicas)


def epoch(make: Callable[[int, int], Any]) -> Callable[[int], tf.data.Dataset]:
    """An epoch whose last batch gives each replica something, the last one less."""
    return lambda replicas: tf.data.Dataset.from_tensor_slices(make(7 * replicas - 1, 0)).batch(4 * replicas)


UNEVEN = [
    *(
        Mutation("uneven_batch_weighting", name, "mean of means", replace(step, loss=mean_of_means), uneven(EVEN_DATA[name]))
        for name, step in CUSTOM.items()
    ),
    Mutation("uneven_batch_weighting", "mlp", "keras.Loss in a step", replace(MLP, loss=keras_loss), uneven(rows)),
    Mutation("uneven_batch_weighting", "conv", "last batch of an epoch", replace(CONV, loss=mean_of_means), epoch(images)),
    Mutation("uneven_batch_weighting", "compiled", "fit", compiled(), uneven(rows)),
    Mutation("uneven_batch_weighting", "compiled", "fit on an epoch", compiled(), epoch(rows)),
]

EMPTY = [
    *(
        Mutation("empty_replica", name, "fewer examples than replicas", replace(step, loss=mean_of_means), fewer_than_replicas(EVEN_DATA[name]))
        for name, step in CUSTOM.items()
    ),
    Mutation("empty_replica", "mlp", "rest of one example", replace(MLP, loss=mean_of_means), rest_of_one(rows)),
    Mutation("empty_replica", "compiled", "fewer examples than replicas", compiled(), fewer_than_replicas(rows)),
    Mutation("empty_replica", "compiled", "rest of one example", compiled(), rest_of_one(rows)),
]


# --- regularisation


def penalty(model: keras.Model) -> tf.Tensor:
    return 0.01 * tf.add_n([tf.nn.l2_loss(tf.convert_to_tensor(v)) for v in model.trainable_variables])


def penalty_on_each_replica(losses: tf.Tensor, units: tf.Tensor, model: keras.Model) -> tf.Tensor:
    return mean_over_all(losses, units, model) + penalty(model)


def losses_of_layers(losses: tf.Tensor, units: tf.Tensor, model: keras.Model) -> tf.Tensor:
    return mean_over_all(losses, units, model) + sum(model.losses)


class PenalizedModel(keras.Sequential):
    """Adds its penalty to a loss that Keras has scaled by 1/N already."""

    def __init__(self) -> None:
        super().__init__([keras.Input((6,)), keras.layers.Dense(4, activation="tanh"), keras.layers.Dense(1)])

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        loss = super().compute_loss(x, y, y_pred, sample_weight, training)
        return loss + 0.01 * tf.add_n([tf.nn.l2_loss(tf.convert_to_tensor(v)) for v in self.trainable_variables])


L2 = keras.regularizers.L2(0.01)
REGULARIZED = {
    "conv": lambda: conv_net(regularizer=L2),
    "mlp": lambda: mlp(ReplicaDropout(), regularizer=L2),
    "batch_norm": lambda: mlp(synchronized(), regularizer=L2),
    "embedding": lambda: tagger(regularizer=L2),
}
"""The base models with `kernel_regularizer` set."""

REGULARIZER = [
    *(
        Mutation("regularizer_per_replica", name, "L2 by hand", replace(step, loss=penalty_on_each_replica), even(EVEN_DATA[name]))
        for name, step in CUSTOM.items()
    ),
    *(
        Mutation("regularizer_per_replica", name, "sum(model.losses)", replace(step, model=REGULARIZED[name], loss=losses_of_layers), even(EVEN_DATA[name]))
        for name, step in CUSTOM.items()
    ),
    Mutation("regularizer_per_replica", "compiled", "compute_loss", compiled(PenalizedModel), even(rows)),
]


# --- sample weights


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


def mean_with_sample_weight() -> keras.Loss:
    return keras.losses.MeanSquaredError(reduction="mean_with_sample_weight")


SAMPLE_WEIGHT = [
    *(
        Mutation(
            "sample_weight_mean_per_replica", name, "weighted mean of each shard",
            replace(step, losses=weighted(step.losses), loss=mean_of_means), even(with_weights(EVEN_DATA[name])),
        )
        for name, step in CUSTOM.items()
    ),
    Mutation(
        "sample_weight_mean_per_replica", "compiled", "mean_with_sample_weight",
        compiled(loss=mean_with_sample_weight), even(with_weights(rows)),
    ),
]


# --- masks


def segmenter() -> keras.Model:
    """A class for each pixel."""
    return keras.Sequential(
        [keras.Input((6, 6, 1)), keras.layers.Conv2D(3, 3, padding="same", activation="tanh"), keras.layers.Conv2D(CLASSES, 1)]
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



def token_loss() -> keras.Loss:
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


MASKED = [
    Mutation("masked_mean_per_replica", "conv", "pixels without a label", replace(CONV, model=segmenter, losses=pixel_entropies, loss=mean_of_means), even(labelled_images)),
    Mutation("masked_mean_per_replica", "mlp", "missing targets", replace(MLP, losses=measured_squares, loss=mean_of_means), even(rows_with_gaps, 6)),
    Mutation("masked_mean_per_replica", "batch_norm", "missing targets", replace(NORMALIZED, losses=measured_squares, loss=mean_of_means), even(rows_with_gaps, 6)),
    Mutation("masked_mean_per_replica", "embedding", "padded tokens", replace(EMBEDDING, loss=mean_of_means), even(sentences)),
    Mutation("masked_mean_per_replica", "compiled", "mask_zero", compiled(tagger, loss=token_loss, metrics=lambda: None), even(sentences)),
]

MISTAKES = [*UNEVEN, *EMPTY, *REGULARIZER, *SAMPLE_WEIGHT, *MASKED]
