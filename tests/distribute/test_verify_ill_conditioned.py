"""Programs in which evidence is thin: few weights, shards without a gradient, arithmetic that loses digits."""

import keras
import numpy as np
import pytest

from distribute import verify

from . import programs
from .programs import strategy


def compiled(*layers):
    def build():
        model = keras.Sequential([keras.Input((1,)), *(make() for make in layers), keras.layers.Dense(1)])
        model.compile(keras.optimizers.SGD(0.2), "mse")
        return model

    return build


def normalised():
    return keras.layers.BatchNormalization(momentum=0.5)


def quick(build, data, num_replicas=2):
    return verify(build, data, strategy=strategy(num_replicas), dtypes=("float64",), shrink=False)


class TestFewWeights:
    @pytest.mark.parametrize("num_replicas", [2, 3, 4])
    def test_line_through_points_with_an_uneven_batch(self, num_replicas):
        x = np.random.default_rng(0).normal(size=(num_replicas * 2 - 1, 1))
        assert quick(compiled(), [(x, 3 * x + 1)], num_replicas).causes == ("uneven_batch_weighting",)

    @pytest.mark.parametrize("spread", [0.0, 1.0])
    def test_normalisation_of_one_feature_is_no_weighted_mean(self, spread):
        """Each shard's own gradient is zero, or all gradients are sums of any two of them."""
        x = np.random.default_rng(0).normal([[0.0]] * 8 + [[100.0]] * 8, spread)
        report = quick(compiled(normalised), [(x, x)])
        assert report.causes == ("local_batch_statistics", "moving_statistics_not_aggregated")


class TestLostDigits:
    def test_variance_of_a_large_mean_is_no_false_alarm(self):
        def build():
            layers = [keras.layers.BatchNormalization(synchronized=True), keras.layers.Dense(1)]
            model = keras.Sequential([keras.Input((4,)), *layers])
            model.compile("sgd", "mse")
            return model

        x = np.random.default_rng(0).normal(1e4, 1, (64, 4))
        report = verify(build, [(x, x[:, :1])], strategy=strategy(2), dtypes=("float64",), steps=3)
        assert report.ok, str(report)
        assert any("amplifies rounding" in check.detail for check in report.checks)

    def test_the_note_has_the_dtype_and_the_accuracy_of_one_device(self):
        x = np.random.default_rng(0).normal(100, 1, (12, programs.FEATURES))  # of which bfloat16 keeps 8 bits
        build = programs.program(lambda: programs.mlp(keras.layers.LayerNormalization()))
        data = [(x, x[:, :1])]
        report = verify(build, data, strategy=strategy(2), dtypes=("float64", "bfloat16"), shrink=False)
        (note,) = (one for one in report.notes if "both are wrong" in one)
        accuracy = {row["path"]: low["reference"] for row in report.variables for low in row["low_precision"]}
        worst = max(accuracy, key=accuracy.get)
        assert note.startswith(f"in bfloat16 the single-device run itself is {accuracy[worst]:.2g} (relative L2)")
        assert f"result in {worst}:" in note

    def test_a_mistake_in_such_a_program_still_fails(self):
        def build():
            layers = [keras.layers.BatchNormalization(), keras.layers.Dense(1)]
            model = keras.Sequential([keras.Input((4,)), *layers])
            model.compile("sgd", "mse")
            return model

        x = np.random.default_rng(0).normal(1e4, 1, (64, 4))
        assert quick(build, [(x, x[:, :1])]).causes[0] == "local_batch_statistics"
