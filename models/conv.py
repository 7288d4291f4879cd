"""The convolutional network of TensorFlow's image classification tutorial.

Source: https://www.tensorflow.org/tutorials/images/cnn, for 28×28 images of one channel.
"""

import keras


def build_conv_net(input_shape: tuple[int, ...] = (28, 28, 1), num_classes: int = 10) -> keras.Model:
    """Three convolutions and two dense layers; 93,322 parameters for 28×28×1 images and 10 classes.

    Args:
      input_shape: height, width and channels of one image; at least 18 pixels each way.
      num_classes: number of logits.

    Returns:
      A model from images [batch, height, width, channels] in [0, 1] to logits [batch, num_classes].
    """
    return keras.Sequential(
        [
            keras.Input(input_shape),
            keras.layers.Conv2D(32, 3, activation="relu"),
            keras.layers.MaxPooling2D(),
            keras.layers.Conv2D(64, 3, activation="relu"),
            keras.layers.MaxPooling2D(),
            keras.layers.Conv2D(64, 3, activation="relu"),
            keras.layers.Flatten(),
            keras.layers.Dense(64, activation="relu"),
            keras.layers.Dense(num_classes),
        ],
        name="conv_net",
    )
