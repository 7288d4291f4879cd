"""Everything: each cause in each program, each innocent kind with five seeds, at every N. A process for each name."""

import pytest

from . import groups, registry, suite, table

pytestmark = [pytest.mark.proof, pytest.mark.timeout(1800)]

NAMES = (*registry.CAUSES, *registry.KINDS)


@pytest.fixture(scope="module")
def outcomes():
    """What has come of each name so far; each runs once."""
    return {}


class TestFullTable:
    @pytest.mark.parametrize("name", NAMES)
    def test_every_verdict_is_right(self, name, outcomes):
        found = outcomes[name] = groups.outcomes_of([name])
        assert len(found) == len(registry.every_run(name))
        wrong = [suite.line(one) for one in found if not one.right]
        assert not wrong, "\n".join(wrong)

    def test_correct_and_wrong_programs_are_far_apart(self, outcomes):
        if len(outcomes) < len(NAMES):
            pytest.skip("only some of the names were run")
        apart = table.separation([one for found in outcomes.values() for one in found])
        assert apart["orders_of_magnitude"] >= table.ORDERS_APART, apart
