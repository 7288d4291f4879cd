"""The recipe's step with models whose gradients are easily wrong on several replicas."""

import keras
import numpy as np
import tensorflow as tf

from configs.recipe import Recipe
from distribute import verify
from train.step import build_program


class Positions(keras.layers.Layer):
    """Adds a vector for each place: its gradient has a row for each place on one device, and N on N replicas."""

    def build(self, shape):
        self.table = self.add_weight(shape=shape[1:], name="table")

    def call(self, x):
        return x + tf.gather(self.table, tf.range(tf.shape(x)[1]))[None]


def positions_net(input_shape, num_classes):
    layers = keras.layers
    return keras.Sequential(
        [keras.Input(input_shape), layers.Reshape((4, 4)), Positions(), layers.Flatten(), layers.Dense(num_classes)]
    )


def test_adam_updates_an_embedding_by_the_sum_of_its_rows(strategy_of):
    recipe = Recipe(build_model=positions_net, build_optimizer=keras.optimizers.Adam)
    rng = np.random.default_rng(0)
    batch = (rng.random((12, 4, 4, 1)), rng.integers(0, 3, 12), np.ones(12))
    report = verify(
        lambda: build_program(recipe, (4, 4, 1), 3), [batch], strategy=strategy_of(3), dtypes=("float64",), shrink=False
    )
    assert report.ok, str(report)
