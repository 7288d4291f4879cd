"""Mistakes in what a replica keeps for itself: statistics and variables."""

from dataclasses import replace
from typing import Any

import keras
import tensorflow as tf

from .base_programs import CONV, EMBEDDING, MLP, NORMALIZED, compiled, conv_net, mlp, replica_id, tagger
from .cases import planted
from .data import even, images, rows, sentences

# --- statistics of the batch


class Standardized(keras.layers.Layer):
    """Mean 0 and variance 1 over the shard, by hand: no moving statistics."""

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        mean, variance = tf.nn.moments(inputs, [0])
        return (inputs - mean) * tf.math.rsqrt(variance + 1e-3)


def plain() -> keras.Layer:
    return keras.layers.BatchNormalization()


LOCAL_STATISTICS = planted(
    "local_batch_statistics",
    ("conv", "BatchNormalization", replace(CONV, model=lambda: conv_net(plain())), even(images)),
    ("mlp", "BatchNormalization", replace(MLP, model=lambda: mlp(plain())), even(rows)),
    ("batch_norm", "BatchNormalization", replace(NORMALIZED, model=lambda: mlp(plain())), even(rows)),
    ("embedding", "BatchNormalization", replace(EMBEDDING, model=lambda: tagger(plain())), even(sentences)),
    ("compiled", "BatchNormalization", compiled(lambda: mlp(plain())), even(rows)),
    ("batch_norm", "moments by hand", replace(NORMALIZED, model=lambda: mlp(Standardized())), even(rows)),
)


class Watched(keras.layers.Layer):
    """Passes its input on and keeps its mean and variance, for a monitor; the gradient does not go through it."""

    def __init__(self) -> None:
        super().__init__()
        self.statistics = keras.layers.BatchNormalization(center=False, scale=False, momentum=0.5)

    def build(self, shape: Any) -> None:
        self.statistics.build(shape)

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        self.statistics(tf.stop_gradient(inputs), training=training)
        return inputs


ACCEPTED = {"accept": ("local_batch_statistics",)}
"""Who wants statistics of each shard may still be told that only the first replica's moving ones are saved."""

MOVING_STATISTICS = planted(
    "moving_statistics_not_aggregated",
    ("conv", "statistics only", replace(CONV, model=lambda: conv_net(Watched())), even(images)),
    ("mlp", "statistics only", replace(MLP, model=lambda: mlp(Watched())), even(rows)),
    ("embedding", "statistics only", replace(EMBEDDING, model=lambda: tagger(Watched())), even(sentences)),
    ("compiled", "statistics only", compiled(lambda: mlp(Watched())), even(rows)),
)

# Who wants statistics of each shard may still be told that only the first replica's moving ones are saved.
MOVING_STATISTICS += planted(
    "moving_statistics_not_aggregated",
    ("batch_norm", "local statistics accepted", replace(NORMALIZED, model=lambda: mlp(plain())), even(rows)),
    ("compiled", "local statistics accepted", compiled(lambda: mlp(plain())), even(rows)),
    options={"accept": ("local_batch_statistics",)},
)


# --- variables


def own_scalar() -> list[tf.Variable]:
    return [tf.Variable(tf.zeros((), keras.config.floatx()), trainable=False, name="own")]


def average_loss(own: list[tf.Variable], losses: tf.Tensor, units: tf.Tensor) -> None:
    """A moving average of the loss, of each shard."""
    own[0].assign(0.9 * own[0] + 0.1 * tf.cast(tf.reduce_mean(losses), own[0].dtype))


def largest_loss(own: list[tf.Variable], losses: tf.Tensor, units: tf.Tensor) -> None:
    own[0].assign(tf.maximum(own[0], tf.cast(tf.reduce_max(losses), own[0].dtype)))


def units_seen(own: list[tf.Variable], losses: tf.Tensor, units: tf.Tensor) -> None:
    """Counts what this replica saw, which is not what all saw."""
    own[0].assign_add(tf.cast(tf.reduce_sum(units), own[0].dtype))


def last_replica(own: list[tf.Variable], losses: tf.Tensor, units: tf.Tensor) -> None:
    own[0].assign(tf.cast(replica_id(), own[0].dtype))


class RunningMaximum(keras.layers.Layer):
    """Remembers the greatest activation."""

    def build(self, shape: Any) -> None:
        self.greatest = self.add_weight(shape=(shape[-1],), initializer="zeros", trainable=False, name="greatest")

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        if training:
            self.greatest.assign(tf.maximum(self.greatest, tf.reduce_max(inputs, axis=0)))
        return inputs


UNSYNCHRONIZED = planted(
    "unsynchronized_variable",
    ("conv", "moving average of the loss", replace(CONV, variables=own_scalar, remember=average_loss), even(images)),
    ("mlp", "greatest loss", replace(MLP, variables=own_scalar, remember=largest_loss), even(rows)),
    ("mlp", "number of the replica", replace(MLP, variables=own_scalar, remember=last_replica), even(rows)),
    (
        "batch_norm",
        "moving average of the loss",
        replace(NORMALIZED, variables=own_scalar, remember=average_loss),
        even(rows),
    ),
    ("embedding", "tokens seen", replace(EMBEDDING, variables=own_scalar, remember=units_seen), even(sentences)),
    ("compiled", "layer with a running maximum", compiled(lambda: mlp(RunningMaximum())), even(rows)),
)

MISTAKES = [*LOCAL_STATISTICS, *MOVING_STATISTICS, *UNSYNCHRONIZED]
