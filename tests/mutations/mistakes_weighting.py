"""Mistakes in how much a replica with fewer examples, or a penalty, weighs: right on one device, wrong on several."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import keras
import tensorflow as tf

from .base_programs import (
    CONV,
    CUSTOM,
    EVEN_DATA,
    MLP,
    ReplicaDropout,
    compiled,
    conv_net,
    in_every_program,
    mean_over_all,
    mlp,
    num_replicas,
    synchronized,
    tagger,
)
from .cases import planted
from .data import FEATURES, even, images, rows, uneven

# --- numbers of examples


def mean_of_means(losses: tf.Tensor, units: tf.Tensor, model: keras.Model) -> tf.Tensor:
    """The mean over the shard, divided by N: the mean over the batch only where all shards count as much.

    What makes them count differently decides the cause: examples, weights, or valid tokens.
    """
    return tf.reduce_sum(losses) / tf.reduce_sum(units) / num_replicas()


def keras_loss(losses: tf.Tensor, units: tf.Tensor, model: keras.Model) -> tf.Tensor:
    """The same by a `keras.Loss` called in the step."""
    each = tf.reshape(losses, (-1, 1))
    return keras.losses.MeanAbsoluteError()(tf.zeros_like(each), each)


def fewer_than_replicas(make: Callable[[int, int], Any]) -> Callable[[int], list[Any]]:
    """An even batch, then one with an example less than there are replicas."""
    return lambda replicas: [make(3 * replicas, 0), make(replicas - 1, 1)]


def rest_of_one(make: Callable[[int, int], Any]) -> Callable[[int], tf.data.Dataset]:
    """An epoch whose last batch holds a single example, for the first replica."""
    return lambda replicas: tf.data.Dataset.from_tensor_slices(make(4 * replicas + 1, 0)).batch(4 * replicas)


def epoch(make: Callable[[int, int], Any]) -> Callable[[int], tf.data.Dataset]:
    """An epoch whose last batch gives each replica something, the last one less."""
    return lambda replicas: tf.data.Dataset.from_tensor_slices(make(7 * replicas - 1, 0)).batch(4 * replicas)


UNEVEN = planted(
    "uneven_batch_weighting",
    *in_every_program("mean of means", EVEN_DATA, uneven, loss=mean_of_means),
    ("mlp", "keras.Loss in a step", replace(MLP, loss=keras_loss), uneven(rows)),
    ("conv", "last batch of an epoch", replace(CONV, loss=mean_of_means), epoch(images)),
    ("compiled", "fit", compiled(), uneven(rows)),
    ("compiled", "fit on an epoch", compiled(), epoch(rows)),
)

EMPTY = planted(
    "empty_replica",
    *in_every_program("fewer examples than replicas", EVEN_DATA, fewer_than_replicas, loss=mean_of_means),
    ("mlp", "rest of one example", replace(MLP, loss=mean_of_means), rest_of_one(rows)),
    ("compiled", "fewer examples than replicas", compiled(), fewer_than_replicas(rows)),
    ("compiled", "rest of one example", compiled(), rest_of_one(rows)),
)


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
        super().__init__([keras.Input((FEATURES,)), keras.layers.Dense(4, activation="tanh"), keras.layers.Dense(1)])

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        loss = super().compute_loss(x, y, y_pred, sample_weight, training)
        return loss + penalty(self)


L2 = keras.regularizers.L2(0.01)
REGULARIZED = {
    "conv": lambda: conv_net(regularizer=L2),
    "mlp": lambda: mlp(ReplicaDropout(), regularizer=L2),
    "batch_norm": lambda: mlp(synchronized(), regularizer=L2),
    "embedding": lambda: tagger(regularizer=L2),
}
"""The base models with `kernel_regularizer` set."""

REGULARIZER = planted(
    "regularizer_per_replica",
    *in_every_program("L2 by hand", EVEN_DATA, loss=penalty_on_each_replica),
    *(
        (
            name,
            "sum(model.losses)",
            replace(step, model=REGULARIZED[name], loss=losses_of_layers),
            even(EVEN_DATA[name]),
        )
        for name, step in CUSTOM.items()
    ),
    ("compiled", "compute_loss", compiled(PenalizedModel), even(rows)),
)

MISTAKES = [*UNEVEN, *EMPTY, *REGULARIZER]
