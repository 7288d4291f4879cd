"""Trains a small language model, letter by letter, with a training loop of its own, on one GPU or several."""

import sys

import keras
import numpy as np
import tensorflow as tf
from sklearn import datasets

from distribute import Program, global_mean, make_strategy, split_device, verify

keras.utils.set_random_seed(1)

PADDING, LENGTH = 0, 64

# Lines of text of very different lengths: how scikit-learn describes three of its data sets.
text = "\n".join(load().DESCR for load in (datasets.load_digits, datasets.load_iris, datasets.load_wine))
lines = [line.strip()[:LENGTH] for line in text.splitlines() if len(line.strip()) > 1]
letters = sorted(set("".join(lines)))
tokens = np.full([len(lines), LENGTH], PADDING)
for row, line in zip(tokens, lines):
    row[: len(line)] = [letters.index(letter) + 1 for letter in line]


def train_data():
    return tf.data.Dataset.from_tensor_slices(tokens).shuffle(1000).batch(32)


def build():
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

    def train_step(batch):
        inputs, targets = batch[:, :-1], batch[:, 1:]
        with tf.GradientTape() as tape:
            losses = keras.losses.sparse_categorical_crossentropy(targets, model(inputs), from_logits=True)
            valid = tf.cast(targets != PADDING, losses.dtype)
            loss = global_mean(losses, valid)
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables))
        return {"loss": loss}

    return Program(train_step, model=model, optimizer=optimizer)


def main():
    devices = split_device(2)
    print(devices.summary)
    if "--verify" in sys.argv:
        report = verify(build, train_data(), devices=devices, shrink=False)
        print(report)
        sys.exit(not report.ok)
    strategy = make_strategy(devices)
    with strategy.scope():
        program = build()

    @tf.function
    def train_step(batch):
        returned = strategy.run(program.train_step, args=(batch,))
        return strategy.reduce("SUM", returned["loss"], axis=None)

    batches = strategy.experimental_distribute_dataset(train_data())
    for epoch in range(1, 11):
        losses = [train_step(batch) for batch in batches]
        print(f"epoch {epoch}  loss {np.mean(losses):.3f}")


if __name__ == "__main__":
    main()
