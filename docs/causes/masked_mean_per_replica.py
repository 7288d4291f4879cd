"""With padded sentences the loss is a mean over valid tokens, and a replica only counts its own.

A shard of short sentences weighs as much as one of long ones, so every token of it weighs more. The same mistake
went through the trainers of several libraries (transformers#34191 is the best known case).
"""

import keras
import numpy as np

from distribute import GlobalMean

rng = np.random.default_rng(0)
words, tags = rng.integers(1, 50, size=[8, 6]), rng.integers(0, 3, size=[8, 6])
words[:4, 2:] = 0  # the sentences of the first replica have two words, those of the second six
batches = [(words, tags)]


def wrong():
    """The mean over the shard's valid tokens."""
    model = keras.Sequential(
        [keras.Input([6], dtype="int32"), keras.layers.Embedding(50, 8, mask_zero=True), keras.layers.Dense(3)]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)  # wrong: each replica counts its own tokens
    model.compile("sgd", loss)
    return model


def mended():
    """The mean over all valid tokens."""
    model = keras.Sequential(
        [keras.Input([6], dtype="int32"), keras.layers.Embedding(50, 8, mask_zero=True), keras.layers.Dense(3)]
    )
    loss = GlobalMean(keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.compile("sgd", loss)
    return model
