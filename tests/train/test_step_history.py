from train.step_history import StepHistory


def history(numbers):
    kept = StepHistory()
    for step in numbers:
        kept.add(step, step / 10)
    return kept.to_dict()


class TestStepHistory:
    def test_all_steps_of_a_short_run_are_kept(self):
        assert history([1, 2, 3]) == {"steps": [1, 2, 3], "values": [0.1, 0.2, 0.3]}

    def test_a_long_run_is_thinned_and_has_steps_in_common_with_any_other(self):
        long, longer = (set(history(range(1, number))["steps"]) for number in (5_000, 40_000))
        assert len(long) <= 1000
        assert len(longer) <= 1000
        assert longer & set(range(5_000)) <= long

    def test_the_first_steps_stay(self):
        assert history(range(1, 40_000))["steps"][:5] == [1, 2, 3, 4, 5]

    def test_a_resumed_run_has_the_losses_before(self):
        whole = StepHistory.joined(history([1, 2, 3, 4]), history([4, 5]))
        assert whole == {"steps": [1, 2, 3, 4, 5], "values": [0.1, 0.2, 0.3, 0.4, 0.5]}
        assert StepHistory.joined(None, history([4])) == history([4])
        assert StepHistory.joined(history([4]), None) == history([4])
        assert StepHistory.joined(history([4]), history([])) == history([4])
