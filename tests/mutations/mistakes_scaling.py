"""Mistakes in the scale of the loss and of the learning rate."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import keras
import tensorflow as tf

from .base_programs import EVEN_DATA, MLP, compiled, in_every_program, mean_over_all, num_replicas
from .cases import planted
from .data import even, rows

# --- the scale of the loss


def mean_over_shard(losses: tf.Tensor, units: tf.Tensor, model: keras.Model) -> tf.Tensor:
    return tf.reduce_sum(losses) / tf.reduce_sum(units)


def divided_by_hand(losses: tf.Tensor, units: tf.Tensor, model: keras.Model) -> tf.Tensor:
    return mean_over_all(losses, units, model) / num_replicas()


def keras_loss_divided(losses: tf.Tensor, units: tf.Tensor, model: keras.Model) -> tf.Tensor:
    """A `keras.Loss` divides by N itself in a replica."""
    each = tf.reshape(losses, (-1, 1))
    return keras.losses.MeanAbsoluteError()(tf.zeros_like(each), each) / num_replicas()


def scalar_loss() -> Callable[[Any, Any], Any]:
    """A loss function that returns the mean: Keras scales only what it averages itself."""
    return lambda true, predicted: keras.ops.mean(keras.ops.square(true - predicted))


def scalar_log_cosh() -> Callable[[Any, Any], Any]:
    return lambda true, predicted: tf.reduce_mean(tf.math.log(tf.math.cosh(predicted - true)))


def loss_of_examples_divided() -> Callable[[Any, Any], Any]:
    return lambda true, predicted: keras.ops.mean(keras.ops.square(true - predicted), axis=-1) / num_replicas()


LOSS_SUMMED = planted(
    "loss_summed_over_replicas",
    *in_every_program("mean over the shard", EVEN_DATA, loss=mean_over_shard),
    ("compiled", "scalar loss", compiled(loss=scalar_loss), even(rows)),
    ("compiled", "scalar log-cosh, Adam", compiled(optimizer=keras.optimizers.Adam, loss=scalar_log_cosh), even(rows)),
)

LOSS_DIVIDED = planted(
    "loss_divided_twice",
    *in_every_program("divided by N on top", loss=divided_by_hand),
    ("mlp", "keras.Loss divided by N", replace(MLP, loss=keras_loss_divided), even(rows)),
    ("compiled", "loss function divides", compiled(loss=loss_of_examples_divided), even(rows)),
)


# --- the learning rate


def scaled_sgd() -> keras.Optimizer:
    return keras.optimizers.SGD(0.1 * num_replicas(), momentum=0.9)


def scaled_adam() -> keras.Optimizer:
    return keras.optimizers.Adam(0.001 * num_replicas())


def scaled_by_root() -> keras.Optimizer:
    return keras.optimizers.SGD(0.1 * num_replicas() ** 0.5)


def scaled_schedule() -> keras.Optimizer:
    return keras.optimizers.SGD(keras.optimizers.schedules.ExponentialDecay(0.1 * num_replicas(), 10, 0.5))


LEARNING_RATE = planted(
    "learning_rate_scaling",
    *in_every_program("SGD times N", optimizer=scaled_sgd),
    ("mlp", "Adam times N", replace(MLP, optimizer=scaled_adam), even(rows)),
    ("mlp", "root of N", replace(MLP, optimizer=scaled_by_root), even(rows)),
    ("compiled", "Adam times N", compiled(optimizer=scaled_adam), even(rows)),
    ("compiled", "schedule times N", compiled(optimizer=scaled_schedule), even(rows)),
)

MISTAKES = [*LOSS_SUMMED, *LOSS_DIVIDED, *LEARNING_RATE]
