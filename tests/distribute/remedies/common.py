"""What the tests of remedies share: verification in float64, and what a real `fit` leaves behind."""

import keras
import numpy as np

from ..programs import FEATURES, batch, dense, failed, mlp, quick, strategy


def compiled(make_model, make_optimizer=keras.optimizers.SGD, make_loss=lambda: "mse", **options):
    """Everything is made inside of `build`, so that it follows the dtype that is verified."""

    def build():
        model = make_model()
        model.compile(make_optimizer(0.1), make_loss(), **options)
        return model

    return build


def fit(build, num_replicas, epochs=1, **options):
    """Trains from fixed weights; returns the weights and the history."""
    keras.utils.set_random_seed(0)
    with strategy(num_replicas).scope():
        model = build()
        for index, weight in enumerate(model.trainable_variables):
            weight.assign(0.3 * np.cos(np.arange(weight.shape.num_elements()) + index).reshape(weight.shape))
    history = model.fit(epochs=epochs, verbose=0, shuffle=False, **options).history
    return [weight.numpy() for weight in model.variables], history


def assert_close(actual, expected, **tolerance):
    for one, other in zip(actual, expected, strict=True):
        np.testing.assert_allclose(one, other, **{"rtol": 2e-5, "atol": 1e-6, **tolerance})


__all__ = ["FEATURES", "assert_close", "batch", "compiled", "dense", "failed", "fit", "mlp", "quick", "strategy"]
