"""A residual network for small images.

Source: He et al., "Deep Residual Learning for Image Recognition" (arXiv 1512.03385), section 4.2 and table 6: ResNet-20
for CIFAR-10, here with projections (option B) where the shape changes and with fewer blocks by default.
"""

from collections.abc import Callable

import keras


def build_resnet(
    input_shape: tuple[int, ...] = (32, 32, 3),
    num_classes: int = 10,
    *,
    blocks_per_stage: int = 1,
    activation: str = "relu",
    make_normalization: Callable[[], keras.Layer] = keras.layers.BatchNormalization,
) -> keras.Model:
    """ResNet-8 by default, 78,042 parameters for 32×32×3 images and 10 classes; ``blocks_per_stage=3`` is ResNet-20.

    Args:
      input_shape: height, width and channels of one image; at least 4 pixels each way.
      num_classes: number of logits.
      blocks_per_stage: residual blocks, of two convolutions each, in each of the stages with 16, 32 and 64 channels.
      activation: by Keras' name of it.
      make_normalization: makes the layer that follows each convolution.

    Returns:
      A model from images [batch, height, width, channels] in [0, 1] to logits [batch, num_classes].
    """

    def convolve(x: keras.KerasTensor, filters: int, size: int, strides: int) -> keras.KerasTensor:
        # No bias: the normalisation that follows takes any constant away.
        layer = keras.layers.Conv2D(
            filters, size, strides, padding="same", use_bias=False, kernel_initializer="he_normal"
        )
        return make_normalization()(layer(x))

    def block(x: keras.KerasTensor, filters: int, strides: int) -> keras.KerasTensor:
        y = keras.layers.Activation(activation)(convolve(x, filters, 3, strides))
        y = convolve(y, filters, 3, 1)
        shortcut = convolve(x, filters, 1, strides) if strides > 1 else x
        return keras.layers.Activation(activation)(keras.layers.Add()([shortcut, y]))

    images = keras.Input(input_shape)
    x = keras.layers.Activation(activation)(convolve(images, 16, 3, 1))
    for stage, filters in enumerate((16, 32, 64)):
        for index in range(blocks_per_stage):
            x = block(x, filters, strides=2 if stage > 0 and index == 0 else 1)
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(images, keras.layers.Dense(num_classes)(x), name="resnet")
