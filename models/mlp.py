"""A multi-layer perceptron."""

import keras


def build_mlp(input_shape: tuple[int, ...] = (28, 28, 1), num_outputs: int = 10) -> keras.Model:
    """Two hidden layers of 256 units; 269,322 parameters for 28×28×1 images and 10 classes.

    Args:
      input_shape: of one input, of any rank.
      num_outputs: number of logits.

    Returns:
      A model from inputs [batch, ...] to logits [batch, num_outputs], in Keras' dtype policy.
    """
    return keras.Sequential(
        [
            keras.Input(input_shape),
            keras.layers.Flatten(),
            keras.layers.Dense(256, activation="relu"),
            keras.layers.Dense(256, activation="relu"),
            keras.layers.Dense(num_outputs),
        ],
        name="mlp",
    )
