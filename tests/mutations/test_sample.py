"""The fixed sample of both suites: every cause at N=2 and at one N of 3 to 8, every innocent kind at one of these."""

import pytest

from distribute import verify

from . import registry, suite
from .base_programs import MLP, PROGRAMS
from .data import rows


def runs(names):
    for name in names:
        for case, replicas in registry.sample(name):
            way = "" if name in registry.KINDS else f"-{case.program}-{case.mistake}"
            yield pytest.param(case, replicas, id=f"{name}{way}-{replicas}")


class TestEveryMistakeIsCaughtAndNamed:
    @pytest.mark.parametrize(("case", "replicas"), list(runs(registry.CAUSES)))
    def test_right_cause_comes_first(self, case, replicas):
        report = suite.report_of(case, replicas)
        assert not report.ok, str(report)
        assert report.causes[:1] == (case.cause,), str(report)


class TestNoCorrectProgramIsAccused:
    @pytest.mark.parametrize(("case", "replicas"), list(runs(registry.KINDS)))
    def test_passes(self, case, replicas):
        report = suite.report_of(case, replicas)
        assert report.ok, str(report)
        assert not report.causes


class TestTheSuitesAreComplete:
    def test_every_cause_of_the_library_is_planted(self):
        with pytest.raises(ValueError, match="known are") as caught:
            verify(MLP, [rows(4)], accept=("no such cause",))
        known = str(caught.value).split("known are ")[1].split(", ")
        assert set(registry.CAUSES) == set(known)

    def test_every_cause_is_planted_in_every_program_or_a_reason_says_why_not(self):
        there = {(one.cause, one.program) for one in registry.MUTATIONS} | set(registry.NOT_APPLICABLE)
        assert [(c, p) for c in registry.CAUSES for p in PROGRAMS if (c, p) not in there] == []

    def test_names_are_unique(self):
        ways = [(one.cause, one.program, one.mistake) for one in registry.MUTATIONS]
        assert len(set(ways)) == len(ways)
        assert len(set(registry.KINDS)) == len(registry.KINDS) >= 12

    def test_sample_has_two_and_more_replicas_of_each_cause(self):
        for name in registry.CAUSES:
            numbers = [replicas for _, replicas in registry.sample(name)]
            assert numbers[0] == 2 or name == "dropped_replica"
            assert 3 <= numbers[1] <= 8

    def test_sample_has_every_kind_and_both_few_and_many_replicas(self):
        numbers = [replicas for name in registry.KINDS for _, replicas in registry.sample(name)]
        assert len(numbers) == len(registry.KINDS)
        assert 2 in numbers
        assert max(numbers) == 8
