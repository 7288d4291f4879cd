"""Small sources for tests, without TFDS."""

import numpy as np
import tensorflow as tf

from train.data import Source


def array_source(num_train: int, num_test: int = 5, *, size: int = 8) -> Source:
    """Labels are the examples' positions; each image is filled with its position (mod 255) + 1."""

    def split(num_examples: int) -> tf.data.Dataset:
        labels = np.arange(num_examples, dtype=np.int64)
        images = np.broadcast_to(
            (labels % 255 + 1).astype(np.uint8)[:, None, None, None], (num_examples, size, size, 1)
        )
        return tf.data.Dataset.from_tensor_slices((np.array(images), labels)).cache()

    return Source(
        name="array",
        input_shape=(size, size, 1),
        num_outputs=num_train,
        num_train_examples=num_train,
        num_test_examples=num_test,
        train=split(num_train),
        test=split(num_test),
        folder="memory",
    )
