"""Operating system, memory and cores: each row with its fault planted."""

import pytest

from train.machine_checks.host import cores_row, system_row
from train.machine_checks.host import memory_row as host_memory_row
from train.machine_checks.row import Status

from .facts import assert_row


class TestHost:
    @pytest.mark.parametrize(
        ("system", "release", "status", "word"),
        [
            ("Linux", "6.1.0", Status.OK, "Linux"),
            ("Linux", "5.15.90.1-microsoft-standard-WSL2", Status.OK, "WSL 2"),
            ("Linux", "4.4.0-19041-Microsoft", Status.PROBLEM, "wsl --set-version"),
            ("Windows", "10", Status.PROBLEM, "WSL 2"),
            ("Darwin", "23.1", Status.WARNING, "--device=cpu"),
        ],
    )
    def test_operating_system(self, system, release, status, word):
        assert_row(system_row(system, release), status, word)

    def test_memory(self):
        assert_row(host_memory_row(16_000, 16_000, 9_000), Status.OK, "16,000 MiB", "9,000 free")
        assert_row(host_memory_row(4_000, 16_000, 9_000), Status.OK, "control group", "about 4,000 free")
        assert_row(host_memory_row(16_000, 16_000, 500), Status.WARNING, "about 500 free")

    def test_cores(self):
        assert_row(cores_row(4, 4), Status.OK, "4")
        assert_row(cores_row(2, 64), Status.OK, "2 of 64")
        assert_row(cores_row(1, 64), Status.WARNING, "1 of 64")
