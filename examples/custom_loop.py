"""Trains a small language model, letter by letter, with a training loop of its own, on one device."""

import keras
import numpy as np
import tensorflow as tf
from sklearn import datasets

keras.utils.set_random_seed(1)

PADDING, LENGTH = 0, 64

# Lines of text of very different lengths: how scikit-learn describes three of its data sets.
text = "\n".join(load().DESCR for load in (datasets.load_digits, datasets.load_iris, datasets.load_wine))
lines = [line.strip()[:LENGTH] for line in text.splitlines() if len(line.strip()) > 1]
letters = sorted(set("".join(lines)))
tokens = np.full([len(lines), LENGTH], PADDING)
for row, line in zip(tokens, lines):
    row[: len(line)] = [letters.index(letter) + 1 for letter in line]
train_data = tf.data.Dataset.from_tensor_slices(tokens).shuffle(1000).batch(32)

model = keras.Sequential(
    [
        keras.Input([LENGTH - 1], dtype="int32"),
        keras.layers.Embedding(len(letters) + 1, 32),
        keras.layers.Conv1D(64, 4, padding="causal", activation="relu"),  # sees this letter and three before it
        keras.layers.Conv1D(64, 4, padding="causal", activation="relu"),
        keras.layers.Dense(len(letters) + 1),
    ]
)
optimizer = keras.optimizers.Adam(3e-3)


@tf.function
def train_step(batch):
    inputs, targets = batch[:, :-1], batch[:, 1:]
    with tf.GradientTape() as tape:
        losses = keras.losses.sparse_categorical_crossentropy(targets, model(inputs), from_logits=True)
        valid = tf.cast(targets != PADDING, losses.dtype)
        loss = tf.reduce_sum(losses * valid) / tf.reduce_sum(valid)
    gradients = tape.gradient(loss, model.trainable_variables)
    optimizer.apply_gradients(zip(gradients, model.trainable_variables))
    return loss


for epoch in range(1, 11):
    losses = [train_step(batch) for batch in train_data]
    print(f"epoch {epoch}  loss {np.mean(losses):.3f}")
