"""Shard replay ends when values repeat up to rounding, as those of a GPU do, and not before."""

import numpy as np
import pytest

from distribute.equivalence_check.replay import Stage


def changed_by(second):
    stage = Stage(1)
    stage.begin_shard(0)
    stage.combine(0, "SUM", 0, np.array([1.0, 3.0]))
    stage.changed = False
    stage.begin_shard(0)
    stage.combine(0, "SUM", 0, second)
    return stage.changed


@pytest.mark.parametrize("factor", [1.0, 1 + 4e-16, 1 + 5e-15])
def test_another_order_of_summands_is_no_change(factor):
    assert not changed_by(np.array([1.0, 3.0]) * factor)


@pytest.mark.parametrize("second", [np.array([1.0, 3.0 + 1e-12]), np.array([1.0, np.nan]), np.array([1.0])])
def test_less_than_the_tolerance_of_a_check_is_a_change(second):
    assert changed_by(second)
