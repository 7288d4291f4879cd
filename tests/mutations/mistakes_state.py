"""Mistakes in what a replica keeps for itself: statistics, variables, metrics."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import keras
import tensorflow as tf

from .base_programs import (
    CONV,
    CUSTOM,
    DATA,
    EMBEDDING,
    MLP,
    NORMALIZED,
    compiled,
    conv_net,
    even,
    images,
    mlp,
    replica_id,
    rows,
    sentences,
    sum_over_replicas,
    tagger,
)
from .cases import Mutation, NotApplicable

# --- statistics of the batch


class Standardized(keras.layers.Layer):
    """Mean 0 and variance 1 over the shard, by hand: no moving statistics."""

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        mean, variance = tf.nn.moments(inputs, [0])
        return (inputs - mean) * tf.math.rsqrt(variance + 1e-3)


def plain() -> keras.Layer:
    return keras.layers.BatchNormalization()


LOCAL_STATISTICS = [
    Mutation("local_batch_statistics", "conv", "BatchNormalization", replace(CONV, model=lambda: conv_net(plain())), even(images)),
    Mutation("local_batch_statistics", "mlp", "BatchNormalization", replace(MLP, model=lambda: mlp(plain())), even(rows)),
    Mutation("local_batch_statistics", "batch_norm", "BatchNormalization", replace(NORMALIZED, model=lambda: mlp(plain())), even(rows)),
    Mutation("local_batch_statistics", "embedding", "BatchNormalization", replace(EMBEDDING, model=lambda: tagger(plain())), even(sentences)),
    Mutation("local_batch_statistics", "compiled", "BatchNormalization", compiled(lambda: mlp(plain())), even(rows)),
    Mutation("local_batch_statistics", "batch_norm", "moments by hand", replace(NORMALIZED, model=lambda: mlp(Standardized())), even(rows)),
]


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

MOVING_STATISTICS = [
    Mutation("moving_statistics_not_aggregated", "conv", "statistics only", replace(CONV, model=lambda: conv_net(Watched())), even(images)),
    Mutation("moving_statistics_not_aggregated", "mlp", "statistics only", replace(MLP, model=lambda: mlp(Watched())), even(rows)),
    Mutation("moving_statistics_not_aggregated", "batch_norm", "local statistics accepted", replace(NORMALIZED, model=lambda: mlp(plain())), even(rows), options=ACCEPTED),
    Mutation("moving_statistics_not_aggregated", "embedding", "statistics only", replace(EMBEDDING, model=lambda: tagger(Watched())), even(sentences)),
    Mutation("moving_statistics_not_aggregated", "compiled", "statistics only", compiled(lambda: mlp(Watched())), even(rows)),
    Mutation("moving_statistics_not_aggregated", "compiled", "local statistics accepted", compiled(lambda: mlp(plain())), even(rows), options=ACCEPTED),
]


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


UNSYNCHRONIZED = [
    Mutation("unsynchronized_variable", "conv", "moving average of the loss", replace(CONV, variables=own_scalar, remember=average_loss), even(images)),
    Mutation("unsynchronized_variable", "mlp", "greatest loss", replace(MLP, variables=own_scalar, remember=largest_loss), even(rows)),
    Mutation("unsynchronized_variable", "mlp", "number of the replica", replace(MLP, variables=own_scalar, remember=last_replica), even(rows)),
    Mutation("unsynchronized_variable", "batch_norm", "moving average of the loss", replace(NORMALIZED, variables=own_scalar, remember=average_loss), even(rows)),
    Mutation("unsynchronized_variable", "embedding", "tokens seen", replace(EMBEDDING, variables=own_scalar, remember=units_seen), even(sentences)),
    Mutation("unsynchronized_variable", "compiled", "layer with a running maximum", compiled(lambda: mlp(RunningMaximum())), even(rows)),
]


# --- metrics


def largest(losses: tf.Tensor, units: tf.Tensor) -> Mapping[str, tf.Tensor]:
    return {"largest": tf.reduce_max(losses)}


def perplexity(losses: tf.Tensor, units: tf.Tensor) -> Mapping[str, tf.Tensor]:
    """Of each shard: no mean of them is that of the batch."""
    return {"perplexity": tf.exp(tf.reduce_sum(losses) / tf.reduce_sum(units))}


def root_mean_square(losses: tf.Tensor, units: tf.Tensor) -> Mapping[str, tf.Tensor]:
    return {"rmse": tf.sqrt(tf.reduce_mean(losses))}


def mean_summed(losses: tf.Tensor, units: tf.Tensor) -> Mapping[str, tf.Tensor]:
    """A mean, reduced as if it were a sum."""
    return {"error": sum_over_replicas(tf.reduce_sum(losses) / tf.reduce_sum(units))}


class GreatestError(keras.Metric):
    """A maximum in a variable that Keras sums over replicas."""

    def __init__(self) -> None:
        super().__init__(name="greatest_error")
        self.greatest = self.add_variable((), "zeros", name="greatest")

    def update_state(self, true: Any, predicted: Any, sample_weight: Any = None) -> None:
        self.greatest.assign(tf.maximum(self.greatest, tf.reduce_max(tf.abs(true - predicted))))

    def result(self) -> Any:
        return self.greatest


class RootMean(keras.Metric):
    """The root is taken on each replica, then summed."""

    def __init__(self) -> None:
        super().__init__(name="root_mean")
        self.total = self.add_variable((), "zeros", name="total")

    def update_state(self, true: Any, predicted: Any, sample_weight: Any = None) -> None:
        self.total.assign_add(tf.sqrt(tf.reduce_mean(tf.square(true - predicted))))

    def result(self) -> Any:
        return self.total


def metric(make: Callable[[], keras.Metric]) -> Callable[[], list[keras.Metric]]:
    return lambda: [make()]


METRIC = [
    Mutation("metric_aggregation", "conv", "greatest of each shard", replace(CONV, outputs=largest), even(images)),
    Mutation("metric_aggregation", "mlp", "root mean square of each shard", replace(MLP, outputs=root_mean_square), even(rows)),
    Mutation("metric_aggregation", "batch_norm", "a mean that is summed", replace(NORMALIZED, outputs=mean_summed), even(rows)),
    Mutation("metric_aggregation", "embedding", "perplexity of each shard", replace(EMBEDDING, outputs=perplexity), even(sentences)),
    Mutation("metric_aggregation", "compiled", "maximum that is summed", compiled(metrics=metric(GreatestError)), even(rows)),
    Mutation("metric_aggregation", "compiled", "root before the sum", compiled(metrics=metric(RootMean)), even(rows)),
]

MISTAKES = [*LOCAL_STATISTICS, *MOVING_STATISTICS, *UNSYNCHRONIZED, *METRIC]
