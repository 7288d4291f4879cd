"""The loop's own step function against one device: right loops pass, a small mistake in a loop does not."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from configs.digits import get_config
from train.loop import TrainFunction
from train.loop_check import check_loop
from train.sharding import take_shard
from train.step import build_program

ROWS, CLASSES = 24, 5


def normalised_model(image_shape, num_classes):
    """The bias before the normalisation has a gradient of zero: Adam makes full steps out of its rounding."""
    return keras.Sequential(
        [
            keras.Input(image_shape),
            keras.layers.Conv2D(4, 3),
            keras.layers.BatchNormalization(synchronized=True),
            keras.layers.Flatten(),
            keras.layers.Dense(num_classes),
        ]
    )


RECIPE = dataclasses.replace(get_config(), build_model=normalised_model)


def build():
    keras.utils.set_random_seed(0)
    return build_program(RECIPE, (6, 6, 1), CLASSES)


def batches():
    rng = np.random.default_rng(0)
    images = rng.normal(size=(ROWS, 6, 6, 1)).astype("float32")
    return tf.data.Dataset.from_tensors((images, rng.integers(0, CLASSES, ROWS)))


def check(strategy, make_function=TrainFunction):
    with strategy.scope():
        program = build()
    before = [variable.numpy() for variable in program.model.variables]
    result = check_loop(make_function(strategy, program), program, build(), batches())
    for variable, value in zip(program.model.variables, before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value)
    return result


def loop_with(shard_of, reduce_op="SUM"):
    """The loop of `train.loop` with another choice of shards, or another reduction of what replicas return."""

    def make(strategy, program):
        def replica_step(batch):
            context = tf.distribute.get_replica_context()
            return program.train_step(shard_of(batch, context))

        @tf.function
        def step_function(iterator):
            values = strategy.run(replica_step, args=(next(iterator),))
            return {name: strategy.reduce(reduce_op, value, axis=None) for name, value in values.items()}

        return step_function

    return make


def right_shard(batch, context):
    return take_shard(batch, context.replica_id_in_sync_group, context.num_replicas_in_sync)


@pytest.mark.parametrize("num_replicas", [1, 2, 3])
def test_the_loop_passes(strategy_of, num_replicas):
    result = check(strategy_of(num_replicas))
    assert result.status == "passed", result.detail


@pytest.mark.parametrize(
    ("make_function", "named"),
    [
        pytest.param(
            loop_with(lambda batch, context: take_shard(batch, 0, context.num_replicas_in_sync)), "kernel", id="shard"
        ),
        pytest.param(loop_with(right_shard, "MEAN"), "returned loss", id="mean of parts of a sum"),
    ],
)
def test_a_mistake_in_the_loop_is_caught_and_named(strategy_of, make_function, named):
    result = check(strategy_of(2), make_function)
    assert result.status == "failed"
    assert named in result.detail
