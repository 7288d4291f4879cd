import keras
import numpy as np
import pytest
import tensorflow as tf

from distribute import GlobalMean

from .common import assert_close, batch, compiled, dense, failed, fit, quick, strategy

WEIGHTS = np.linspace(0.1, 3, 12).astype("float32")


def per_example(y_true, y_pred):
    return keras.ops.mean(keras.ops.square(y_true - y_pred), axis=-1)


def scalar(y_true, y_pred):
    return keras.ops.mean(keras.ops.square(y_true - y_pred))


def tagger():
    """One of three tags for each token; token 0 is padding."""
    tokens = keras.layers.Embedding(9, 4, mask_zero=True)
    return keras.Sequential([keras.Input((5,), dtype="int32"), tokens, keras.layers.Dense(3)])


def sentences(size=12):
    rng = np.random.default_rng(0)
    lengths = 1 + np.arange(size) * 5 // size  # short ones first, so that replicas have unequal numbers of tokens
    tokens = np.where(np.arange(5) < lengths[:, None], rng.integers(1, 9, (size, 5)), 0)
    return tokens.astype("int32"), rng.integers(0, 3, (size, 5)).astype("int32")


def cross_entropy():
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def weighted_error():
    return keras.losses.MeanSquaredError(reduction="mean_with_sample_weight")


def wrapped(make_loss):
    return lambda: GlobalMean(make_loss())


# (model, loss of Keras, what the remedy wraps, batch that shows the mistake, its cause where verify can tell)
MISTAKES = {
    "uneven": (dense, lambda: "mse", lambda: "mse", batch(7), "uneven_batch_weighting"),
    "weighted": (dense, weighted_error, weighted_error, (*batch(12), WEIGHTS), "sample_weight_mean_per_replica"),
    "masked": (tagger, cross_entropy, cross_entropy, sentences(), "masked_mean_per_replica"),
    "scalar": (dense, lambda: scalar, lambda: per_example, batch(12), "loss_summed_over_replicas"),
}


@pytest.mark.parametrize("name", MISTAKES)
class TestGlobalMean:
    def test_stock_loss_fails(self, name):
        make_model, make_loss, _, data, cause = MISTAKES[name]
        report = quick(compiled(make_model, make_loss=make_loss), [data])
        assert "gradient_equivalence/float64" in failed(report)
        assert set(report.causes) <= {cause}

    @pytest.mark.parametrize("num_replicas", [2, 3])
    def test_wrapped_loss_passes(self, name, num_replicas):
        make_model, _, make_loss, data, _ = MISTAKES[name]
        report = quick(compiled(make_model, make_loss=wrapped(make_loss)), [data], num_replicas)
        assert report.ok, str(report)

    def test_one_device_computes_what_stock_keras_computes(self, name):
        make_model, _, make_loss, data, _ = MISTAKES[name]
        arrays = dict(zip(("x", "y", "sample_weight"), data, strict=False))
        results = []
        for make in (make_loss, wrapped(make_loss)):
            weights, history = fit(compiled(make_model, make_loss=make), num_replicas=1, batch_size=5, **arrays)
            results.append([*weights, history["loss"]])
        assert_close(*results)


class TestInFit:
    """Seven rows in batches of four: the last batch is 2 and 1 on two replicas."""

    def results(self, make_loss, num_replicas):
        x, y = batch(7)
        data = tf.data.Dataset.from_tensor_slices((x, y)).batch(4)
        return fit(compiled(dense, make_loss=make_loss), num_replicas, x=data)

    def test_weights_and_reported_loss_are_those_of_one_device(self):
        expected, expected_history = self.results(lambda: "mse", 1)
        weights, history = self.results(lambda: GlobalMean("mse"), 2)
        assert_close(weights, expected)
        assert_close([history["loss"]], [expected_history["loss"]])
        wrong, _ = self.results(lambda: "mse", 2)
        assert not np.allclose(wrong[0], expected[0], rtol=1e-3)

    def test_two_outputs_with_weights_of_their_own(self):
        def build():
            inputs = keras.Input((6,))
            outputs = {name: keras.layers.Dense(1, name=name)(inputs) for name in ("a", "b")}
            model = keras.Model(inputs, outputs)
            model.compile("sgd", {"a": GlobalMean("mse"), "b": GlobalMean("mae")}, loss_weights={"a": 1.0, "b": 0.5})
            return model

        x, y = batch(7)
        report = quick(build, [(x, {"a": y, "b": -y}, {"a": WEIGHTS[:7], "b": WEIGHTS[7:0:-1]})])
        assert report.ok, str(report)

    def test_model_is_saved_and_loaded(self, tmp_path):
        model = compiled(
            dense, make_loss=lambda: GlobalMean(keras.losses.CategoricalCrossentropy(label_smoothing=0.3))
        )()
        model.save(tmp_path / "model.keras")
        loaded = keras.models.load_model(tmp_path / "model.keras")
        assert isinstance(loaded.loss, GlobalMean)
        assert loaded.loss.loss.label_smoothing == 0.3
        x, y = batch(7)
        assert loaded.evaluate(x, y, verbose=0) == pytest.approx(model.evaluate(x, y, verbose=0))


class TestCounting:
    def loss(self, make_loss, *arguments, **options):
        return float(GlobalMean(make_loss())(*arguments, **options))

    def test_rows_of_weight_zero_are_not_counted(self):
        y, zeros = np.array([[1.0], [2.0], [9.0]]), np.zeros((3, 1))
        assert self.loss(lambda: "mse", y, zeros, sample_weight=[1, 1, 0]) == pytest.approx(2.5)
        assert self.loss(lambda: "mse", y, zeros, sample_weight=[0, 0, 0]) == 0

    def test_labels_of_another_rank_are_brought_in_line(self):
        assert self.loss(lambda: "mse", np.array([1.0, 2.0]), np.zeros((2, 1))) == pytest.approx(2.5)

    def test_shard_without_examples_adds_nothing(self):
        def step():
            replica = tf.distribute.get_replica_context().replica_id_in_sync_group
            rows = tf.ones((2 * (1 - replica), 1))
            with tf.GradientTape() as tape:
                weight = tf.constant(3.0)
                tape.watch(weight)
                loss = GlobalMean("mse")(0 * rows, weight * rows)
            return loss, tape.gradient(loss, weight)

        one = strategy(2)
        losses, gradients = (one.experimental_local_results(v) for v in one.run(tf.function(step)))
        assert [float(loss) for loss in losses] == [4.5, 4.5]  # Keras reports the mean of twice these
        assert [float(gradient) for gradient in gradients] == [6, 0]


class TestRefusals:
    def test_sum_is_right_as_it_is(self):
        with pytest.raises(ValueError, match="reduction='sum'.*use the loss as it is"):
            GlobalMean(keras.losses.MeanSquaredError(reduction="sum"))

    def test_scalar_cannot_be_counted(self):
        with pytest.raises(ValueError, match="'scalar' returns a scalar.*one value for each example"):
            GlobalMean(scalar)(*batch(4))
