"""Mistakes in what replicas draw or read: the same random numbers, the same examples."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import keras
import tensorflow as tf

from .base_programs import CONV, CUSTOM, DATA, EMBEDDING, MLP, NORMALIZED, compiled, conv_net, mlp, synchronized, tagger
from .cases import planted
from .data import even, images, rows, sentences

# --- the same random numbers everywhere


class FixedSeedDropout(keras.layers.Layer):
    """Dropout by hand, whose seed does not depend on the replica."""

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        return tf.nn.experimental.stateless_dropout(inputs, 0.25, seed=[1, 2]) if training else inputs


IDENTICAL = planted(
    "identical_randomness",
    (
        "conv",
        "SpatialDropout2D",
        replace(CONV, model=lambda: conv_net(keras.layers.SpatialDropout2D(0.5, seed=2))),
        even(images),
    ),
    ("mlp", "Dropout", replace(MLP, model=lambda: mlp(keras.layers.Dropout(0.5))), even(rows)),
    ("mlp", "fixed seed by hand", replace(MLP, model=lambda: mlp(FixedSeedDropout())), even(rows)),
    (
        "batch_norm",
        "GaussianNoise",
        replace(NORMALIZED, model=lambda: mlp(synchronized(), keras.layers.GaussianNoise(0.3))),
        even(rows),
    ),
    (
        "embedding",
        "Dropout",
        replace(EMBEDDING, model=lambda: tagger(keras.layers.Dropout(0.3, seed=1))),
        even(sentences),
    ),
    ("compiled", "Dropout", compiled(lambda: mlp(keras.layers.Dropout(0.5, seed=1))), even(rows)),
    ("compiled", "AlphaDropout", compiled(lambda: mlp(keras.layers.AlphaDropout(0.3))), even(rows)),
)


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


REPLICATED = planted(
    "replicated_input",
    *((name, "forgotten shard", step, forgotten_shard(DATA[name])) for name, step in CUSTOM.items()),
    ("mlp", "always the first shard", MLP, shard_zero(rows)),
    ("compiled", "forgotten shard", compiled(), forgotten_shard(rows)),
)

MISTAKES = [*IDENTICAL, *REPLICATED]
