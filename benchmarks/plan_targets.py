"""Programs that `plan_accuracy` plans: the conv net, a wide network without convolutions, and attention over text."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from models import build_conv_net


def conv_net() -> keras.Model:
    """The tutorial's conv net, compiled with Adam."""
    return _compiled(build_conv_net())


def wide_net() -> keras.Model:
    """Two dense layers of 1,024 units: most of its memory is model state."""
    layers = [keras.layers.Dense(1024, activation="relu") for _ in range(2)]
    return _compiled(keras.Sequential([keras.Input([784]), *layers, keras.layers.Dense(10)]))


def attention_net() -> keras.Model:
    """Embedding, self-attention over 64 tokens, layer normalisation: most of its memory is activations."""
    tokens = keras.Input([64], dtype="int32")
    embedded = keras.layers.Embedding(2000, 64)(tokens)
    attended = keras.layers.MultiHeadAttention(4, 16)(embedded, embedded)
    normalised = keras.layers.LayerNormalization()(embedded + attended)
    pooled = keras.layers.GlobalAveragePooling1D()(normalised)
    return _compiled(keras.Model(tokens, keras.layers.Dense(10)(pooled)))


def _compiled(model: keras.Model) -> keras.Model:
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


def batches(rows: int, shape: Sequence[int], most: int | None = None) -> list[Any]:
    """One global batch: inputs in [0, 1), or whole numbers below `most`; labels of ten classes."""
    random = np.random.default_rng(0)
    size = [rows, *shape]
    inputs = random.random(size, "float32") if most is None else random.integers(0, most, size).astype("int32")
    return [(inputs, random.integers(0, 10, rows))]
