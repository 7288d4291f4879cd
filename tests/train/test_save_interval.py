import time

import pytest

from train.training import SaveInterval


@pytest.fixture
def clock(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


class TestSaveInterval:
    def test_counts_steps_from_the_very_first_so_that_a_resumed_run_saves_at_the_same_ones(self):
        interval = SaveInterval(3, None)
        assert [step for step in range(5, 13) if interval.due(step)] == [6, 9, 12]

    def test_counts_seconds_since_the_last_time(self, clock):
        interval = SaveInterval(None, 60.0)
        due = []
        for clock[0] in (159.0, 160.0, 161.0, 219.0, 221.0, 400.0, 401.0):
            due.append(interval.due(1))
        assert due == [False, True, False, False, True, True, False]
