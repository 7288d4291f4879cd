import numpy as np
import pytest
import tensorflow as tf

from models import classification, regression


class TestClassification:
    def test_is_one_value_for_each_example(self):
        logits = tf.math.log([[0.9, 0.1], [0.2, 0.8], [0.5, 0.5]])
        measured = classification(tf.constant([0, 0, 1], tf.int64), logits)
        np.testing.assert_allclose(measured["loss"], -np.log([0.9, 0.2, 0.5]), rtol=1e-6)
        np.testing.assert_array_equal(measured["accuracy"], [1, 0, 0])

    def test_refuses_targets(self):
        with pytest.raises(ValueError, match=r"labels float32 \(3, 1\) are no classes: .* models.regression"):
            classification(tf.zeros([3, 1]), tf.zeros([3, 1]))


class TestRegression:
    def test_is_the_mean_over_an_examples_targets(self):
        measured = regression(tf.constant([[1.0, 2.0], [3.0, 4.0]]), tf.constant([[1.0, 4.0], [3.0, 4.0]], tf.float64))
        np.testing.assert_array_equal(measured["loss"], [2.0, 0.0])
        assert measured["loss"].dtype == tf.float64

    @pytest.mark.parametrize("shape", [[3], [3, 1]])
    def test_refuses_what_tensorflow_would_repeat(self, shape):
        with pytest.raises(ValueError, match="one for each target is needed"):
            regression(tf.zeros(shape), tf.zeros([3, 10]))
