"""Plain Keras, one device: the variance of `BatchNormalization(synchronized=True)` is lost in float32.

It is computed as E[x^2] - E[x]^2. With mean 1e4 and standard deviation 1 both terms are about 1e8, where neighbouring
float32 numbers are 8 apart: nothing of the variance 1 is left. `synchronized=False` uses E[(x - E[x])^2].
"""

import keras
import numpy as np

x = np.random.default_rng(0).normal(1e4, 1, size=[64, 4]).astype("float32")


def normalized(synchronized):
    """The standard deviation of what the layer makes of x; 1 is right."""
    layer = keras.layers.BatchNormalization(synchronized=synchronized)
    return float(np.std(keras.ops.convert_to_numpy(layer(x, training=True))))


print(f"standard deviation of the normalised batch, expected: {normalized(synchronized=False):.3f}")
print(f"standard deviation of the normalised batch, actual:   {normalized(synchronized=True):.3f}")
