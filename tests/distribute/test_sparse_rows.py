"""Rows of sparse gradients: which differ from one device's, and their sum."""

import numpy as np

from distribute.equivalence_check.sparse_rows import summed, with_other_rows

ROWS = np.arange(8.0).reshape(4, 2)


def test_rows_for_one_index_are_added_up():
    values, indices = summed((ROWS, np.array([3, 1, 3, 3])))
    np.testing.assert_array_equal(indices, [1, 3])
    np.testing.assert_array_equal(values, [[2, 3], [10, 13]])


def test_a_dense_gradient_stays():
    assert summed(ROWS) is ROWS


def test_another_order_is_no_difference_and_another_number_is():
    one = {"table": (ROWS, np.array([0, 1, 1, 2])), "kernel": ROWS}
    assert with_other_rows(one, {"table": (ROWS, np.array([1, 2, 0, 1])), "kernel": ROWS}) == []
    assert with_other_rows(one, {"table": (ROWS[:3], np.array([0, 1, 2])), "kernel": ROWS}) == ["table"]
    assert with_other_rows(one, {"table": ROWS, "kernel": ROWS}) == ["table"]
