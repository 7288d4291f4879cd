import keras
import numpy as np
import pytest
import tensorflow as tf

from distribute import GlobalMean, pad_last_batch

from .common import assert_close, batch, compiled, dense, fit, mlp, quick


def batches(num_rows, batch_size, *more):
    return tf.data.Dataset.from_tensor_slices((*batch(num_rows), *more)).batch(batch_size)


def rows(dataset):
    return [tf.nest.map_structure(lambda leaf: leaf.numpy(), element) for element in dataset]


class TestPadLastBatch:
    def test_keeps_real_rows_and_weights_added_ones_with_zero(self):
        padded, real = rows(pad_last_batch(batches(7, 4), 4)), rows(batches(7, 4))
        assert [weights.tolist() for _, _, weights in padded] == [[1, 1, 1, 1], [1, 1, 1, 0]]
        for (x, y, weights), (real_x, real_y) in zip(padded, real, strict=True):
            np.testing.assert_array_equal(x[weights > 0], real_x)
            np.testing.assert_array_equal(y[weights > 0], real_y)
            assert all(row in real_x for row in x)

    def test_every_batch_has_a_static_size(self):
        x, y, weights = pad_last_batch(batches(7, 4), 4).element_spec
        assert (x.shape, y.shape, weights.shape) == ((4, 6), (4, 1), (4,))

    def test_nested_parts_strings_and_weights_of_several_outputs(self):
        x = {"a": np.arange(5), "b": (np.array(["p", "q", "r", "s", "t"]), np.zeros((5, 2)))}
        y = {"u": np.arange(5.0), "v": np.ones((5, 3))}
        weights = {"u": np.full(5, 2.0), "v": np.full((5, 3), 0.5, "float32")}
        *_, last = rows(pad_last_batch(tf.data.Dataset.from_tensor_slices((x, y, weights)).batch(3), 3))
        assert last[0]["b"][0].tolist() == [b"s", b"t", b"s"]
        assert last[2]["u"].tolist() == [2, 2, 0]
        assert last[2]["v"].tolist() == [[0.5] * 3, [0.5] * 3, [0] * 3]

    def test_length_is_known(self):
        assert len(pad_last_batch(batches(7, 4), 4)) == 2

    def test_other_data_are_refused(self):
        with pytest.raises(ValueError, match=r"batches \(x, y\) or \(x, y, sample_weight\)"):
            pad_last_batch(tf.data.Dataset.range(4).batch(2), 2)
        with pytest.raises(ValueError, match="batch_size is 0"):
            pad_last_batch(batches(4, 2), 0)
        with pytest.raises(tf.errors.InvalidArgumentError, match="more than batch_size=3"):
            rows(pad_last_batch(batches(4, 4), 3))


class TestInFit:
    """The cases in which `fit` fails without it: an empty shard, and a first batch that replicas do not divide."""

    def mean_loss(self):
        return GlobalMean("mse")

    @pytest.mark.parametrize("num_replicas", [2, 3])
    @pytest.mark.parametrize("weighted", [False, True])
    def test_weights_are_those_of_one_device_on_the_real_rows(self, num_replicas, weighted):
        more = [np.linspace(0.5, 2, 19)] if weighted else []
        padded = pad_last_batch(batches(19, 6, *more), 6)
        actual, _ = fit(compiled(dense, make_loss=self.mean_loss), num_replicas, x=padded)
        expected, _ = fit(compiled(dense, make_loss=lambda: "mse"), 1, x=batches(19, 6, *more))
        assert_close(actual, expected)

    def test_first_batch_that_replicas_do_not_divide(self):
        with pytest.raises((tf.errors.InvalidArgumentError, ValueError)):
            fit(compiled(dense), 2, x=batches(3, 3))
        actual, _ = fit(compiled(dense, make_loss=self.mean_loss), 2, x=pad_last_batch(batches(3, 3), 4))
        expected, _ = fit(compiled(dense), 1, x=batches(3, 3))
        assert_close(actual, expected)

    def test_statistics_stay_finite_where_a_shard_would_be_empty(self):
        def model():
            return mlp(keras.layers.BatchNormalization(synchronized=True))

        plain, _ = fit(compiled(model, make_loss=self.mean_loss), 2, x=batches(17, 16), epochs=1)
        padded, _ = fit(compiled(model, make_loss=self.mean_loss), 2, x=pad_last_batch(batches(17, 16), 16), epochs=1)
        assert all(np.isfinite(weight).all() for weight in padded)
        assert plain is not None

    def test_weighted_metrics_count_real_rows(self):
        def build():
            return compiled(dense, make_loss=self.mean_loss, weighted_metrics=["mae"])()

        _, padded = fit(build, 2, x=pad_last_batch(batches(19, 6), 6))
        _, expected = fit(build, 1, x=batches(19, 6))
        assert_close(padded["mae"], expected["mae"])

    def test_verify_passes_on_the_padded_data_set(self):
        report = quick(compiled(dense, make_loss=self.mean_loss), pad_last_batch(batches(19, 6), 6))
        assert report.ok, str(report)
