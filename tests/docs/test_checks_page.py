"""docs/checks.md has a row for every check that there is."""

import re
from pathlib import Path

import pytest

from distribute.equivalence_check import overflow
from distribute.memory_check import verdict
from docs import make_causes_page
from docs.make_causes_page import devices_by_number, report_of
from train import loop_check

PAGE = Path(make_causes_page.__file__).with_name("checks.md").read_text()
ROWS = {name for row in re.findall(r"^\| (`.*?) \|", PAGE, flags=re.MULTILINE) for name in re.findall(r"`(.+?)`", row)}
DEVICES = devices_by_number(("CPU:0", "CPU:1"))


def as_in_the_table(name):
    """The check's name without its batch, the number of its steps, or the metric that it is about."""
    name = re.sub(r"@.*", "", name)
    name = re.sub(r"steps_\d+", "steps_K", name)
    return re.sub(r"^metrics/.*", "metrics/NAME", name)


class TestChecksPage:
    @pytest.mark.parametrize(
        "name", [pytest.param("moving_statistics_not_aggregated", marks=pytest.mark.proof), "identical_randomness"]
    )
    def test_has_every_check_of_a_report(self, name):
        report = report_of(name, "mended", DEVICES, steps=2)
        assert {as_in_the_table(check.name) for check in report.checks} <= ROWS

    def test_has_those_of_memory_and_training(self):
        memory = {verdict.EXECUTION, verdict.LIMIT, verdict.REFERENCE, verdict.GROWTH}
        assert memory | {loop_check.NAME, loop_check.CLUSTER, overflow.NAME} <= ROWS
