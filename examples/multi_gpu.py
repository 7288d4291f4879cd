"""Trains a small convolutional network to tell handwritten digits apart, on one GPU or several."""

import sys

import keras
import tensorflow as tf
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from distribute import GlobalMean, make_strategy, per_replica_randomness, split_device, verify

keras.utils.set_random_seed(1)

digits = load_digits()  # 1,797 images of 8 x 8 pixels, each from 0 to 16; a part of scikit-learn
images = digits.images[..., None] / 16
train_x, test_x, train_y, test_y = train_test_split(images, digits.target, random_state=1)


def train_data():
    return tf.data.Dataset.from_tensor_slices((train_x, train_y)).shuffle(2000).batch(64)


def focal_loss(labels, logits):
    cross_entropy = keras.losses.sparse_categorical_crossentropy(labels, logits, from_logits=True)
    return (1 - keras.ops.exp(-cross_entropy)) ** 2 * cross_entropy


def build():
    model = keras.Sequential(
        [
            keras.Input([8, 8, 1]),
            keras.layers.Conv2D(32, 3, padding="same", activation="relu"),
            keras.layers.BatchNormalization(synchronized=True),
            keras.layers.Conv2D(32, 3, padding="same", activation="relu"),
            keras.layers.MaxPooling2D(),
            keras.layers.Flatten(),
            keras.layers.Dropout(0.5),
            keras.layers.Dense(10),
        ]
    )
    per_replica_randomness(model)
    model.compile(keras.optimizers.Adam(1e-3), GlobalMean(focal_loss), metrics=["accuracy"])
    return model


def main():
    devices = split_device(2, memory_limit_mib=1024)
    print(devices.summary)
    if "--verify" in sys.argv:
        report = verify(build, train_data(), devices=devices, shrink=False)
        print(report)
        sys.exit(not report.ok)
    with make_strategy(devices).scope():
        model = build()
    print("training on", model.distribute_strategy.num_replicas_in_sync, "replicas")
    model.fit(train_data(), epochs=8, verbose=2)
    loss, accuracy = model.evaluate(test_x, test_y, verbose=0)
    print(f"test accuracy {accuracy:.3f}")


if __name__ == "__main__":
    main()
