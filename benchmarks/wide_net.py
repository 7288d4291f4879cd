"""A recipe for cost curves: the conv net on digits with a hidden layer of ``WIDE_NET_UNITS`` units instead of 64.

A hidden layer of 43,000 units makes 25 million parameters. Parameters are what has to be summed, updated and copied for
each replica; convolutions of more channels would make the computing itself dearer, and hide it.
"""

import os

import keras

from configs.recipe import Recipe
from models import FusedAdam

UNITS_VARIABLE = "WIDE_NET_UNITS"


def build_wide_net(input_shape: tuple[int, int, int], num_classes: int) -> keras.Model:
    """The layers of `models.build_conv_net`; maps images [batch, height, width, channels] to logits."""
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input(input_shape),
            layers.Conv2D(32, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(64, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(64, 3, activation="relu"),
            layers.Flatten(),
            layers.Dense(int(os.environ[UNITS_VARIABLE]), activation="relu"),
            layers.Dense(num_classes),
        ]
    )


def get_config() -> Recipe:
    """As configs/digits.py."""
    return Recipe(build_model=build_wide_net, build_optimizer=FusedAdam)
