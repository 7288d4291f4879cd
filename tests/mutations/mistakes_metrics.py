"""Mistakes in how metrics are put together from what each replica measured."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import keras
import tensorflow as tf

from .base_programs import CONV, EMBEDDING, MLP, NORMALIZED, compiled, sum_over_replicas
from .cases import planted
from .data import even, images, rows, sentences

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


METRIC = planted(
    "metric_aggregation",
    ("conv", "greatest of each shard", replace(CONV, outputs=largest), even(images)),
    ("mlp", "root mean square of each shard", replace(MLP, outputs=root_mean_square), even(rows)),
    ("batch_norm", "a mean that is summed", replace(NORMALIZED, outputs=mean_summed), even(rows)),
    ("embedding", "perplexity of each shard", replace(EMBEDDING, outputs=perplexity), even(sentences)),
    ("compiled", "maximum that is summed", compiled(metrics=metric(GreatestError)), even(rows)),
    ("compiled", "root before the sum", compiled(metrics=metric(RootMean)), even(rows)),
)

MISTAKES = [*METRIC]
