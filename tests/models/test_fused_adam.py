"""FusedAdam is Adam: the same weights after some steps, on one device and on several, dense and sparse."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

from models import FusedAdam

STEPS = 6

# In float64, too, Keras rounds 0.9 and 0.999 to float32 before it raises them to a power: 1e-5 of each step.
KERAS_ROUNDING = {"rtol": 2e-5, "atol": 1e-5}


def weights_after_steps(make_optimizer, strategy, *, sparse=False):
    initial = np.random.default_rng(0).normal(size=(4, 3))
    with strategy.scope():
        variable = keras.Variable(initial, dtype="float64")
        optimizer = make_optimizer()
        optimizer.build([variable])

    @tf.function
    def step(number):
        def replica_step():
            gradient = tf.sin(variable.value) * tf.cast(number, tf.float64) + 0.1
            if sparse:
                gradient = tf.IndexedSlices(gradient[:2], tf.constant([1, 3]), tf.shape(gradient))
            optimizer.apply([gradient], [variable])

        strategy.run(replica_step)

    for number in range(STEPS):
        step(tf.constant(number))
    assert int(optimizer.iterations.numpy()) == STEPS
    moments = [part.numpy() for part in optimizer.variables if part.shape == variable.shape]
    return [variable.numpy(), *moments]


@pytest.mark.parametrize("num_replicas", [1, 2])
@pytest.mark.parametrize(
    ("settings", "sparse"),
    [
        ({}, False),
        ({"beta_1": 0.5, "epsilon": 1e-3, "weight_decay": 0.01}, False),
        ({"amsgrad": True}, False),
        ({"clipnorm": 0.1}, False),
        ({}, True),
    ],
)
def test_computes_what_adam_computes(strategy_of, num_replicas, settings, sparse):
    strategy = strategy_of(num_replicas)
    ours, keras_own = (
        weights_after_steps(functools.partial(make, 0.05, **settings), strategy, sparse=sparse)
        for make in (FusedAdam, keras.optimizers.Adam)
    )
    assert len(ours) == len(keras_own) >= 3
    for mine, theirs in zip(ours, keras_own, strict=True):
        np.testing.assert_allclose(mine, theirs, **KERAS_ROUNDING)


def test_takes_the_learning_rate_of_a_schedule(strategy_of):
    schedule = keras.optimizers.schedules.ExponentialDecay(0.1, 2, 0.5)
    ours, keras_own = (
        weights_after_steps(functools.partial(make, schedule), strategy_of(2))
        for make in (FusedAdam, keras.optimizers.Adam)
    )
    np.testing.assert_allclose(ours[0], keras_own[0], **KERAS_ROUNDING)


def test_goes_on_with_what_adam_has_saved(strategy_of, tmp_path):
    def checkpoint(optimizer):
        variable = keras.Variable(np.ones(3), dtype="float32")
        optimizer.build([variable])
        return variable, tf.train.Checkpoint(variable=variable.value, optimizer=optimizer)

    with strategy_of(1).scope():
        old = keras.optimizers.Adam()
        variable, saved = checkpoint(old)
        old.apply([tf.constant([1.0, 2.0, 3.0])], [variable])
        path = saved.write(str(tmp_path / "saved"))
        new = FusedAdam()
        variable, restored = checkpoint(new)
        restored.read(path).assert_existing_objects_matched()
    assert [part.numpy().tolist() for part in new.variables] == [part.numpy().tolist() for part in old.variables]
