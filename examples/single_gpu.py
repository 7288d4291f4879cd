"""Trains a small convolutional network to tell handwritten digits apart, on one device."""

import keras
import tensorflow as tf
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

keras.utils.set_random_seed(1)

digits = load_digits()  # 1,797 images of 8 x 8 pixels, each from 0 to 16; a part of scikit-learn
images = digits.images[..., None] / 16
train_x, test_x, train_y, test_y = train_test_split(images, digits.target, random_state=1)
train_data = tf.data.Dataset.from_tensor_slices((train_x, train_y)).shuffle(2000).batch(64)


def focal_loss(labels, logits):
    cross_entropy = keras.losses.sparse_categorical_crossentropy(labels, logits, from_logits=True)
    return keras.ops.mean((1 - keras.ops.exp(-cross_entropy)) ** 2 * cross_entropy)


model = keras.Sequential(
    [
        keras.Input([8, 8, 1]),
        keras.layers.Conv2D(32, 3, padding="same", activation="relu"),
        keras.layers.BatchNormalization(),
        keras.layers.Conv2D(32, 3, padding="same", activation="relu"),
        keras.layers.MaxPooling2D(),
        keras.layers.Flatten(),
        keras.layers.Dropout(0.5),
        keras.layers.Dense(10),
    ]
)
model.compile(keras.optimizers.Adam(1e-3), focal_loss, metrics=["accuracy"])

model.fit(train_data, epochs=8, verbose=2)
loss, accuracy = model.evaluate(test_x, test_y, verbose=0)
print(f"test accuracy {accuracy:.3f}")
