"""Correct programs that differ in their model and data. Uneven batches are in, where the program is right for them."""

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
    Batch,
    CustomStep,
    Losses,
    compiled,
    conv_net,
    mlp,
    squares,
    synchronized,
)
from .cases import Innocent
from .data import CLASSES, FEATURES, TOKENS, images, rows, sentences
from .weighted_programs import labelled_images, pixel_entropies, segmenter, weighted, with_weights


def batches(make: Any, empty: bool = False) -> Any:
    """By number of replicas and seed: an even batch, an uneven one, and where `empty` one for some replicas only."""

    def data(replicas: int, seed: int) -> list[Any]:
        sizes = [3 * replicas, 3 * replicas - 1 - seed % max(replicas - 1, 1)]
        sizes += [replicas - 1] if empty and replicas > 1 else []
        return [make(size, 10 * seed + position) for position, size in enumerate(sizes)]

    return data


def even_batches(make: Any) -> Any:
    """For programs that are right for these only."""
    return lambda replicas, seed: [make(3 * replicas, 10 * seed), make(2 * replicas, 10 * seed + 1)]


def transformer() -> keras.Model:
    """One block with layer normalisation, on two vectors for each example."""
    inputs = keras.Input((FEATURES,))
    hidden = keras.layers.Dense(4)(keras.layers.Reshape((2, FEATURES // 2))(inputs))
    attended = keras.layers.MultiHeadAttention(2, 2)(hidden, hidden)
    normalized = keras.layers.LayerNormalization()(keras.layers.Add()([hidden, attended]))
    return keras.Model(inputs, keras.layers.Dense(1)(keras.layers.Flatten()(normalized)))


def recurrent() -> keras.Model:
    steps = keras.layers.Reshape((3, FEATURES // 3))
    return keras.Sequential([keras.Input((FEATURES,)), steps, keras.layers.GRU(3), keras.layers.Dense(1)])


def frozen() -> keras.Model:
    layer = keras.layers.Dense(5, activation="tanh")
    layer.trainable = False
    return mlp(layer)


def frozen_normalization() -> keras.Model:
    """A pretrained BatchNormalization: frozen, it uses its moving statistics, which are no shard's."""
    layer = keras.layers.BatchNormalization()
    layer.trainable = False
    return mlp(layer)


def depthwise() -> keras.Model:
    return conv_net(keras.layers.SeparableConv2D(2, 2), keras.layers.GroupNormalization(2))


def two_towers() -> keras.Model:
    """Inputs by name, outputs by name."""
    vectors = keras.Input((FEATURES,), name="vectors")
    tokens = keras.Input((TOKENS,), dtype="int32", name="tokens")
    embedded = keras.layers.Flatten()(keras.layers.Embedding(11, 2)(tokens))
    joined = keras.layers.Concatenate()([keras.layers.Dense(3, activation="tanh")(vectors), embedded])
    outputs = {
        "value": keras.layers.Dense(1, name="value")(joined),
        "tag": keras.layers.Dense(CLASSES, name="tag")(joined),
    }
    return keras.Model({"vectors": vectors, "tokens": tokens}, outputs)


def towers(size: int, seed: int = 0) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    vectors, values = rows(size, seed)
    tokens, tags = sentences(size, seed) if size > 1 else (np.ones((1, TOKENS), "int32"), np.ones((1, TOKENS), "int32"))
    return {"vectors": vectors, "tokens": tokens}, {"value": values, "tag": tags[:, 0]}


def both_losses(model: keras.Model, batch: Batch) -> Losses:
    inputs, targets = batch
    outputs = model(inputs, training=True)
    value, tag = outputs["value"], outputs["tag"]
    errors = tf.square(value - tf.cast(targets["value"], value.dtype))[:, 0]
    losses = errors + 0.5 * tf.nn.sparse_softmax_cross_entropy_with_logits(targets["tag"], tag)
    return losses, tf.ones_like(losses)


def compiled_towers() -> keras.Model:
    model = two_towers()
    entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(
        keras.optimizers.Adam(),
        {"value": keras.losses.MeanSquaredError(), "tag": entropy},
        loss_weights={"value": 1.0, "tag": 0.5},
        metrics={"value": ["mae"], "tag": ["accuracy"]},
    )
    return model


CUSTOM_MODELS = [
    Innocent("conv", CONV, batches(images)),
    Innocent("separable conv, group norm", replace(CONV, model=depthwise), batches(images)),
    Innocent("mlp, an empty replica", CustomStep(mlp, squares), batches(rows, empty=True)),
    Innocent("dropout per replica", MLP, batches(rows)),
    Innocent("synchronised batch norm", NORMALIZED, batches(rows)),
    Innocent("synchronised batch norm, conv", replace(CONV, model=lambda: conv_net(synchronized())), batches(images)),
    Innocent("frozen batch norm", CustomStep(frozen_normalization, squares), batches(rows)),
    Innocent("attention, layer norm", CustomStep(transformer, squares), batches(rows)),
    Innocent("embedding, masks", EMBEDDING, batches(sentences)),
    Innocent(
        "segmentation, void pixels", replace(CONV, model=segmenter, losses=pixel_entropies), batches(labelled_images)
    ),
    Innocent("gru", CustomStep(recurrent, squares), batches(rows)),
    Innocent("two inputs, two losses", CustomStep(two_towers, both_losses), batches(towers)),
    Innocent("sample weights", replace(MLP, losses=weighted(squares)), batches(with_weights(rows))),
    Innocent("frozen layer", CustomStep(frozen, squares), batches(rows)),
]

COMPILED_MODELS = [
    Innocent("fit, metrics", compiled(), even_batches(rows), options={"steps": 2}),
    Innocent("fit, sample weights", compiled(), even_batches(with_weights(rows))),
    Innocent("fit, two outputs", compiled_towers, even_batches(towers)),
    Innocent(
        "fit, synchronised batch norm",
        compiled(lambda: mlp(synchronized()), keras.optimizers.AdamW),
        even_batches(rows),
    ),
    Innocent(
        "fit, regularizers", compiled(lambda: mlp(regularizer=keras.regularizers.L1L2(0.01, 0.02))), even_batches(rows)
    ),
]

INNOCENTS = [*CUSTOM_MODELS, *COMPILED_MODELS]
