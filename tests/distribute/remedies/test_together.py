"""All remedies in one model, as a user of mixed precision would have them."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from distribute import (
    AllReplicasLossScaleOptimizer,
    GlobalMean,
    average_moving_statistics,
    clip_after_all_reduce,
    pad_last_batch,
    per_replica_randomness,
)

from .common import batch, mlp, quick, strategy


@pytest.fixture
def _mixed_precision():
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    yield
    keras.config.set_dtype_policy(policy)


def build(**normalisation):
    model = mlp(keras.layers.Dense(4), keras.layers.BatchNormalization(**normalisation), keras.layers.Dropout(0.5))
    optimizer = clip_after_all_reduce(keras.optimizers.AdamW(1e-2, clipnorm=0.1, use_ema=True))
    model.compile(AllReplicasLossScaleOptimizer(optimizer), GlobalMean("mse"), weighted_metrics=["mae"])
    return per_replica_randomness(model)


def batches():
    return pad_last_batch(tf.data.Dataset.from_tensor_slices(batch(15)).batch(6), 6)


class TestTogether:
    @pytest.mark.proof
    def test_verify_passes_on_three_replicas(self):
        # The bias ahead of the normalisation has a gradient of zero: its update is rounding, which AdamW amplifies.
        report = quick(lambda: build(synchronized=True), batches(), 3)
        assert report.ok, str(report)

    @pytest.mark.usefixtures("_mixed_precision")
    def test_fit_in_half_precision(self):
        with strategy(2).scope():
            model = average_moving_statistics(build())
        history = model.fit(batches(), epochs=2, verbose=0).history
        assert type(model.optimizer) is AllReplicasLossScaleOptimizer  # Keras has not put its own around it
        assert np.isfinite(history["loss"]).all()
        for weight in model.weights:
            copies = [copy.numpy() for copy in strategy(2).experimental_local_results(weight.value)]
            np.testing.assert_array_equal(*copies, err_msg=weight.path)
            assert np.isfinite(copies[0]).all()
