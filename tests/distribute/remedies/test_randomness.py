import keras
import numpy as np
import pytest
import tensorflow as tf

from distribute import Program, per_replica_randomness

from .common import FEATURES, assert_close, batch, compiled, dense, failed, fit, mlp, quick, strategy


def noisy():
    return mlp(keras.layers.Dropout(0.5, seed=1), keras.layers.GaussianNoise(0.1, seed=2), keras.layers.Dense(4))


class Nested(keras.layers.Layer):
    """Generators in a list and in a layer of a list."""

    def __init__(self):
        super().__init__()
        self.generators = [keras.random.SeedGenerator(3)]
        self.inner = [[keras.layers.Dropout(0.5, seed=4)]]

    def call(self, x, training=False):
        return self.inner[0][0](x + keras.random.normal(keras.ops.shape(x), seed=self.generators[0]), training=training)


def custom(make_model, change=lambda model: model):
    def build():
        model, optimizer = change(make_model()), keras.optimizers.SGD(0.1)
        optimizer.build(model.trainable_variables)

        def train_step(data):
            replicas = tf.distribute.get_strategy().num_replicas_in_sync
            with tf.GradientTape() as tape:
                error = model(data[0], training=True) - tf.cast(data[1], model.compute_dtype)
                loss = tf.reduce_mean(tf.square(error)) / replicas
            gradients = tape.gradient(loss, model.trainable_variables)
            optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
            return {"loss": loss}

        return Program(train_step, model=model, optimizer=optimizer)

    return build


def ones_through(model, num_replicas, calls=1):
    """What each replica's layers make of ones, after `calls` calls."""
    one = strategy(num_replicas)
    with one.scope():
        model = model()
    step = tf.function(lambda: model(tf.ones((4, FEATURES)), training=True))
    for _ in range(calls):
        results = one.experimental_local_results(one.run(step))
    return [result.numpy() for result in results], model


def dropout(change=per_replica_randomness):
    return lambda: change(keras.Sequential([keras.Input((FEATURES,)), keras.layers.Dropout(0.5, seed=1)]))


def stock(model):
    return model


class TestPerReplicaRandomness:
    def test_compiled_model(self):
        report = quick(compiled(noisy))
        assert failed(report) == {"randomness"}
        assert report.causes == ("identical_randomness",)
        report = quick(compiled(lambda: per_replica_randomness(noisy())), num_replicas=3)
        assert report.ok, str(report)

    def test_custom_step_with_generators_in_lists(self):
        def model():
            return mlp(Nested())

        assert quick(custom(model)).causes == ("identical_randomness",)
        report = quick(custom(model, per_replica_randomness), num_replicas=2)
        assert report.ok, str(report)

    def test_every_replica_draws_its_own_and_the_first_one_the_stock_numbers(self):
        expected, _ = ones_through(dropout(stock), 1, calls=3)
        drawn, model = ones_through(dropout(), 3, calls=3)
        np.testing.assert_array_equal(drawn[0], expected[0])
        assert len({draw.tobytes() for draw in drawn}) == 3
        (generator,) = model.layers[0]._seed_generators
        states = [copy.numpy().tolist() for copy in strategy(3).experimental_local_results(generator.state.value)]
        assert states == [[1, 3]] * 3

    def test_one_device_and_outside_of_replicas_draw_the_stock_numbers(self):
        expected, stock_model = ones_through(dropout(stock), 1)
        drawn, model = ones_through(dropout(), 1)
        np.testing.assert_array_equal(drawn[0], expected[0])
        np.testing.assert_array_equal(
            model(tf.ones((2, 6)), training=True), stock_model(tf.ones((2, 6)), training=True)
        )

    def test_fit_on_one_device_is_unchanged_and_on_two_differs(self):
        x, y = batch(12)
        runs = {
            (change, n): fit(compiled(lambda change=change: change(noisy())), n, x=x, y=y, batch_size=6)[0]
            for change, n in ((stock, 1), (per_replica_randomness, 1), (stock, 2), (per_replica_randomness, 2))
        }
        assert_close(runs[per_replica_randomness, 1], runs[stock, 1], rtol=0, atol=0)
        assert not np.allclose(runs[per_replica_randomness, 2][-1], runs[stock, 2][-1])

    def test_twice_is_once(self):
        once, _ = ones_through(dropout(), 2)
        twice, _ = ones_through(dropout(lambda model: per_replica_randomness(per_replica_randomness(model))), 2)
        np.testing.assert_array_equal(once, twice)

    def test_other_models_are_left_alone(self):
        per_replica_randomness(dropout(stock)())
        drawn, _ = ones_through(dropout(stock), 2)
        np.testing.assert_array_equal(*drawn)

    def test_model_that_is_not_built_is_refused(self):
        with pytest.raises(ValueError, match="has not been built"):
            per_replica_randomness(keras.Sequential([keras.layers.Dropout(0.5)]))

    def test_model_without_randomness_stays_as_it_is(self):
        model = dense()
        assert per_replica_randomness(model) is model
