"""One dense layer with one unit, as in TensorFlow's guide to several GPUs.

Source: https://www.tensorflow.org/guide/gpu, section "Using multiple GPUs".
"""

import keras


def build_line(input_shape: tuple[int, ...] = (1,), num_targets: int = 1) -> keras.Model:
    """A linear model; 2 parameters for one feature and one target.

    Args:
      input_shape: (features,).
      num_targets: numbers that the model returns for each input.

    Returns:
      A model from numbers [batch, features] to predictions [batch, num_targets].
    """
    return keras.Sequential([keras.Input(input_shape), keras.layers.Dense(num_targets)], name="line")
