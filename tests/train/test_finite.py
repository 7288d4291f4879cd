import numpy as np
import pytest
import tensorflow as tf

from train.finite import non_finite_places, require_finite


def apply_guarded(strategy, bad_replica, bad_value, *, in_loss=False):
    """One guarded update of two variables, with one bad value on one replica; returns variables and the places."""
    with strategy.scope():
        variables = [tf.Variable([1.0, 2.0], name="first"), tf.Variable(3.0, name="second")]

    def step():
        here = tf.distribute.get_replica_context().replica_id_in_sync_group == bad_replica
        bad = tf.where(here, bad_value, 0.0)
        loss = 1.0 + (bad if in_loss else 0.0)
        gradients = [tf.constant([1.0, 1.0]), 1.0 + (0.0 if in_loss else bad)]
        for gradient, variable in zip(require_finite(loss, gradients, variables), variables, strict=True):
            variable.assign_sub(tf.distribute.get_replica_context().all_reduce("SUM", gradient))

    places = None
    try:
        tf.function(lambda: strategy.run(step))()
    except tf.errors.InvalidArgumentError as error:
        places = non_finite_places(error)
    return [strategy.experimental_local_results(variable) for variable in variables], places


class TestRequireFinite:
    @pytest.mark.parametrize("num_replicas", [1, 2, 3])
    def test_finite_values_pass(self, strategy_of, num_replicas):
        (first, second), places = apply_guarded(strategy_of(num_replicas), 0, 0.0)
        assert places is None
        for copy in first:
            np.testing.assert_allclose(copy, [1.0 - num_replicas, 2.0 - num_replicas])
        for copy in second:
            np.testing.assert_allclose(copy, 3.0 - num_replicas)

    @pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
    @pytest.mark.parametrize(("num_replicas", "bad"), [(1, 0), (2, 0), (2, 1), (3, 2)])
    def test_no_replica_updates_when_one_gradient_is_bad(self, strategy_of, num_replicas, bad, value):
        (first, second), places = apply_guarded(strategy_of(num_replicas), bad, value)
        assert places == f"second on replica {bad}"
        for copy in first:
            np.testing.assert_array_equal(copy, [1.0, 2.0])
        for copy in second:
            np.testing.assert_array_equal(copy, 3.0)

    def test_a_bad_loss_with_finite_gradients_is_caught(self, strategy_of):
        (first, _), places = apply_guarded(strategy_of(2), 1, np.nan, in_loss=True)
        assert places == "loss on replica 1"
        np.testing.assert_array_equal(first[0], [1.0, 2.0])

    def test_sparse_and_missing_gradients(self):
        sparse = tf.IndexedSlices(tf.constant([[np.nan]]), tf.constant([0]), tf.constant([3, 1]))
        variables = [tf.Variable(tf.zeros([3, 1]), name="table"), tf.Variable(0.0, name="frozen")]
        with pytest.raises(tf.errors.InvalidArgumentError) as caught:
            tf.function(lambda: require_finite(tf.constant(1.0), [sparse, None], variables))()
        assert non_finite_places(caught.value) == "table on replica 0"
