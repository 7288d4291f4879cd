import keras
import numpy as np
import pytest
import tensorflow as tf

from distribute import Program, global_mean

from .common import batch, dense, failed, quick, strategy

WEIGHTS = np.linspace(0.1, 3, 12).astype("float32")
MASK = np.arange(12) % 5 < np.arange(12) / 4  # few valid ones at first


def local_mean(values, weights=None):
    """Right for replicas with as much weight: the mistake."""
    weights = tf.ones_like(values) if weights is None else tf.cast(weights, values.dtype)
    mean = tf.math.divide_no_nan(tf.reduce_sum(values * weights), tf.reduce_sum(weights))
    return mean / tf.distribute.get_strategy().num_replicas_in_sync


def program(mean):
    """A custom step whose loss is `mean` over examples of (x, y) or (x, y, weights or mask)."""

    def build():
        model, optimizer = dense(), keras.optimizers.SGD(0.1)
        optimizer.build(model.trainable_variables)

        def train_step(data):
            x, y, *weights = data
            with tf.GradientTape() as tape:
                errors = tf.reduce_sum(tf.square(model(x) - tf.cast(y, model.compute_dtype)), axis=-1)
                loss = mean(errors, *weights)
            gradients = tape.gradient(loss, model.trainable_variables)
            optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
            return {"loss": loss}

        return Program(train_step, model=model, optimizer=optimizer)

    return build


MISTAKES = {
    "uneven": (batch(7), "uneven_batch_weighting"),
    "weighted": ((*batch(12), WEIGHTS), "sample_weight_mean_per_replica"),
    "masked": ((*batch(12), MASK), "masked_mean_per_replica"),
}


@pytest.mark.parametrize("name", MISTAKES)
class TestInACustomStep:
    def test_mean_per_replica_fails(self, name):
        data, cause = MISTAKES[name]
        report = quick(program(local_mean), [data])
        assert "gradient_equivalence/float64" in failed(report)
        assert set(report.causes) <= {cause, "sample_weight_mean_per_replica"}  # a mask is a weight, seen from outside

    @pytest.mark.parametrize("num_replicas", [1, 2, 3])
    def test_global_mean_passes(self, name, num_replicas):
        report = quick(program(global_mean), [MISTAKES[name][0]], num_replicas)
        assert report.ok, str(report)


class TestGlobalMean:
    def test_shards_without_examples_pass(self):
        report = quick(program(global_mean), [batch(2)], 3)
        assert report.ok, str(report)

    def test_outside_of_replicas_it_is_the_mean(self):
        values = tf.reshape(tf.range(6.0), (3, 2))
        assert float(global_mean(values)) == 2.5
        assert float(global_mean(values, [1, 0, 0])) == 0.5
        assert float(global_mean(values, tf.constant([[True, False], [False, False], [False, True]]))) == 2.5
        assert float(global_mean([1, 2])) == 1.5
        with strategy(2).scope():
            assert float(global_mean(values)) == 2.5

    @pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
    def test_half_precision_counts_on(self, dtype):
        assert float(global_mean(tf.ones([100_000], dtype))) == 1

    def test_nothing_of_weight_is_zero(self):
        assert float(global_mean([1.0, 2.0], [0.0, 0.0])) == 0
        assert float(global_mean(tf.zeros([0]))) == 0

    def test_normaliser_carries_no_gradient(self):
        weights = tf.Variable([1.0, 3.0])
        with tf.GradientTape() as tape:
            mean = global_mean([8.0, 4.0], weights)
        np.testing.assert_allclose(tape.gradient(mean, weights), [2, 1])

    @pytest.mark.parametrize("shape", [(2,), (3, 3), (3, 2, 1)])
    def test_weights_of_another_shape_are_refused(self, shape):
        with pytest.raises(ValueError, match="one weight for each value"):
            global_mean(tf.zeros((3, 2)), tf.zeros(shape))
