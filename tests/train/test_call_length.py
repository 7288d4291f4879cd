import pytest

from train.call_length import CallLength


def length_after(*seconds):
    length = CallLength(None)
    for one in seconds:
        assert not length.known
        assert length.steps == 1
        length.took(one)
    return length


class TestCallLength:
    @pytest.mark.parametrize(("step_s", "steps"), [(0.1, 2), (0.03, 8), (0.001, 20), (2.0, 1)])
    def test_is_a_quarter_of_a_second(self, step_s, steps):
        length = length_after(9.0, step_s, step_s, step_s)  # the first call traces
        assert (length.known, length.steps) == (True, steps)

    def test_is_not_fooled_by_one_slow_call(self):
        assert length_after(9.0, 0.1, 5.0, 0.1).steps == 2

    def test_that_is_given_stays(self):
        assert (CallLength(7).known, CallLength(7).steps) == (True, 7)
