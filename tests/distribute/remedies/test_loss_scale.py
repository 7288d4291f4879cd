import keras
import numpy as np
import pytest
import tensorflow as tf

from distribute import AllReplicasLossScaleOptimizer

from .common import batch, compiled, dense, failed, mlp, quick, strategy

STOCK = keras.optimizers.LossScaleOptimizer


def scaled(cls, scale=1e10, **options):
    return lambda rate: cls(keras.optimizers.SGD(rate), initial_scale=scale, **options)


def overflowing(row):
    """A batch whose scaled gradient overflows float64 on the replica that has `row`."""
    x, y = (array.astype("float64") for array in batch(12))
    y[row] = 1e300
    return x, y


def train(make_optimizer, num_replicas, row):
    """Three steps of `fit` in float32, the second one overflowing; weights, scale and number of good steps."""
    keras.utils.set_random_seed(0)
    with strategy(num_replicas).scope():
        model = compiled(dense, make_optimizer)()
    x, y = batch(12)
    y = np.stack([y, y, y])
    y[1, row] = 1e38
    model.fit(np.concatenate([x, x, x]), y.reshape(-1, 1), batch_size=12, shuffle=False, verbose=0)
    return [w.numpy() for w in model.weights], model.optimizer.dynamic_scale.numpy(), model.optimizer.iterations.numpy()


class TestOverflowOnOneReplica:
    def test_stock_optimizer_applies_it_unless_it_is_the_first(self):
        report = quick(compiled(dense, scaled(STOCK)), [overflowing(row=9)])
        assert {"update_equivalence/float64", "state_equivalence/saved"} <= failed(report)
        assert set(report.causes) <= {"non_finite", "loss_scale_per_replica"}

    @pytest.mark.parametrize(("num_replicas", "row"), [(2, 0), (2, 9), (3, 5), (3, 11)])
    def test_step_is_skipped_and_the_scale_halved_on_all(self, num_replicas, row):
        report = quick(compiled(dense, scaled(AllReplicasLossScaleOptimizer)), [overflowing(row)], num_replicas)
        assert report.ok, str(report)

    def test_fit_goes_on_as_on_one_device(self):
        expected, scale, steps = train(scaled(STOCK, 64.0), 1, row=9)
        actual = train(scaled(AllReplicasLossScaleOptimizer, 64.0), 2, row=9)
        assert (actual[1], actual[2]) == (scale, steps) == (32, 2)
        for one, other in zip(actual[0], expected, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)
        broken = train(scaled(STOCK, 64.0), 2, row=9)
        assert not all(np.isfinite(weight).all() for weight in broken[0])


class TestWithoutOverflow:
    def test_scale_grows_as_on_one_device(self):
        make = scaled(AllReplicasLossScaleOptimizer, 4.0, dynamic_growth_steps=2)
        report = quick(compiled(dense, make), num_replicas=3, steps=3)
        assert report.ok, str(report)

    def test_one_device_computes_what_the_stock_optimizer_computes(self):
        one, other = (train(scaled(cls, 64.0), 1, row=3) for cls in (STOCK, AllReplicasLossScaleOptimizer))
        assert one[1:] == other[1:]
        for mine, stock in zip(other[0], one[0], strict=True):
            np.testing.assert_array_equal(mine, stock)

    def test_half_precision_is_not_wrapped_twice(self):
        policy = keras.config.dtype_policy()
        keras.config.set_dtype_policy("mixed_float16")
        try:
            with strategy(2).scope():
                model = mlp(keras.layers.Dense(4))
                model.compile(AllReplicasLossScaleOptimizer(keras.optimizers.Adam(1e-3)), "mse")
            model.fit(*batch(12), batch_size=12, verbose=0)
        finally:
            keras.config.set_dtype_policy(policy)
        assert type(model.optimizer) is AllReplicasLossScaleOptimizer
        assert all(np.isfinite(weight.numpy()).all() for weight in model.weights)

    def test_saving_and_loading(self, tmp_path):
        model = compiled(dense, scaled(AllReplicasLossScaleOptimizer, 8.0))()
        model.fit(*batch(12), verbose=0)
        model.save(tmp_path / "model.keras")
        loaded = keras.models.load_model(tmp_path / "model.keras").optimizer
        assert type(loaded) is AllReplicasLossScaleOptimizer
        assert float(loaded.dynamic_scale) == 8
        assert tf.equal(loaded.iterations, model.optimizer.iterations)
