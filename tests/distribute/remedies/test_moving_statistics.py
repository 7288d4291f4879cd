import keras
import numpy as np
import pytest

from distribute import average_moving_statistics

from .common import FEATURES, assert_close, batch, compiled, dense, fit, mlp, quick, strategy


def normalised(**options):
    return mlp(keras.layers.BatchNormalization(**options), keras.layers.Dense(4))


def averaged(**options):
    return average_moving_statistics(normalised(**options))


class TestVerified:
    def test_stock_layer_fails_and_synchronised_one_passes(self):
        report = quick(compiled(normalised))
        assert report.causes == ("local_batch_statistics", "moving_statistics_not_aggregated")
        report = quick(compiled(lambda: normalised(synchronized=True)))
        assert report.ok, str(report)

    def test_all_statistics_of_renormalisation_are_named_beside_a_layer_that_is_never_built(self):
        class Owner(keras.layers.Layer):
            def __init__(self):
                super().__init__()
                self.unused = keras.layers.BatchNormalization()

            def build(self, shape):
                pass

            def call(self, x):
                return x

        report = quick(compiled(lambda: mlp(Owner(), keras.layers.BatchNormalization(renorm=True))))
        assert report.causes == ("moving_statistics_not_aggregated",), str(report)
        assert not any("search for the cause ended" in note for note in report.notes)

    @pytest.mark.parametrize("num_replicas", [2, pytest.param(3, marks=pytest.mark.proof)])
    def test_what_is_left_is_the_local_normalisation(self, num_replicas):
        report = quick(compiled(averaged), num_replicas=num_replicas, accept=("local_batch_statistics",))
        assert report.ok, str(report)
        assert not report.causes
        assert report.accepted == ("local_batch_statistics",)
        assert next(check for check in report.checks if check.name == "replica_sync").status == "passed"


class TestInFit:
    def test_all_statistics_of_renormalisation_stay_alike(self):
        with strategy(2).scope():
            model = compiled(lambda: averaged(renorm=True))()
        model.fit(*batch(12), batch_size=12, verbose=0)
        for variable in model.layers[0].weights:
            np.testing.assert_array_equal(*strategy(2).experimental_local_results(variable.value))

    def evaluated(self, change, tmp_path):
        """The first replica sees zeros, the second 100s: their moving means, losses before saving and after loading."""
        with strategy(2).scope():
            layer = keras.layers.BatchNormalization(momentum=0.5, center=False, scale=False)
            model = keras.Sequential([keras.Input((1,)), layer, keras.layers.Dense(1, trainable=False)])
            model.compile("sgd", "mse")
            change(model)
        x = np.repeat([[0.0], [100.0]], 4, axis=0)
        model.fit(x, x, batch_size=8, shuffle=False, verbose=0)
        copies = strategy(2).experimental_local_results(layer.moving_mean.value)
        model.save(tmp_path / "model.keras")
        loaded = keras.models.load_model(tmp_path / "model.keras")
        before, after = (one.evaluate(x, x, batch_size=8, verbose=0) for one in (model, loaded))
        return [copy.numpy().tolist() for copy in copies], before, after

    def test_what_is_saved_is_what_was_evaluated(self, tmp_path):
        copies, before, after = self.evaluated(average_moving_statistics, tmp_path)
        assert copies == [[25], [25]]
        assert after == pytest.approx(before, rel=1e-5)

    def test_stock_keras_saves_the_first_replicas_own(self, tmp_path):
        copies, before, after = self.evaluated(lambda model: model, tmp_path)
        assert copies == [[0], [50]]
        assert after != pytest.approx(before, rel=1e-2)

    def test_one_device_is_unchanged(self):
        x, y = batch(12)
        one, other = (fit(compiled(make), 1, x=x, y=y, batch_size=6) for make in (normalised, averaged))
        assert_close(one[0], other[0], rtol=0, atol=0)

    def test_weights_are_loaded_as_ever(self, tmp_path):
        with strategy(2).scope():
            model, other = averaged(), normalised()
        other.layers[0].moving_mean.assign(np.arange(FEATURES))
        other.save_weights(tmp_path / "w.weights.h5")
        model.load_weights(tmp_path / "w.weights.h5")
        np.testing.assert_array_equal(model.layers[0].moving_mean.numpy(), np.arange(FEATURES))


class TestRefusals:
    @pytest.mark.parametrize("model", [dense, lambda: normalised(synchronized=True)])
    def test_nothing_to_average(self, model):
        with pytest.raises(ValueError, match="0 built BatchNormalization layers with synchronized=False"):
            average_moving_statistics(model())

    def test_model_that_is_not_built(self):
        with pytest.raises(ValueError, match="not built"):
            average_moving_statistics(keras.Sequential([keras.layers.BatchNormalization()]))
