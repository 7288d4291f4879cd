"""One process alone; several are in tests/integration/test_isolation.py."""

import pytest

from train.agreement import make_agreement


class TestOneProcess:
    @pytest.mark.parametrize("num_replicas", [1, 2])
    @pytest.mark.parametrize("wish", [(0, False), (15, False), (0, True), (2, True)])
    def test_decides_alone(self, strategy_of, num_replicas, wish):
        assert make_agreement(strategy_of(num_replicas))(*wish) == wish
