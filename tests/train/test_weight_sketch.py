import numpy as np
import pytest

from train.weight_sketch import distance, sketch


class TestSketch:
    @pytest.mark.parametrize("shape", [(3,), (3, 3, 1, 32), (576, 64)])
    def test_distance_of_summaries_is_near_that_of_the_variables(self, shape):
        random = np.random.default_rng(0)
        ratios = []
        for seed in range(50):
            first = random.normal(size=shape)
            second = first + 1e-3 * random.normal(size=shape)
            found = distance(sketch(first, seed), sketch(second, seed))
            ratios.append(found / np.linalg.norm(first - second))
        assert np.mean(np.square(ratios)) == pytest.approx(1, abs=0.15)
        assert 0.5 < min(ratios) < max(ratios) < 1.6

    def test_equal_variables_have_equal_summaries_and_one_value_shows(self):
        values = np.ones([100], np.float32)
        assert sketch(values, 7) == sketch(values.copy(), 7)
        values[50] += 1
        assert distance(sketch(values, 7), sketch(np.ones([100], np.float32), 7)) == pytest.approx(1)

    def test_a_scalar_and_an_empty_variable(self):
        assert distance(sketch(np.float32(3), 0), sketch(np.float32(1), 0)) == 2
        assert len(sketch(np.zeros([0]), 0)) == 64
