"""Phases of a run and cost curves: that every second is counted once, and what the pictures show."""

import time
import xml.etree.ElementTree as ElementTree

import pytest

from benchmarks.cost_curves import Point
from benchmarks.cost_picture import save_pictures
from benchmarks.phase_child import Clock
from benchmarks.phase_names import TRACING, VERIFYING
from benchmarks.phases import ClockedRun, run_clocked, table
from benchmarks.wide_net import UNITS_VARIABLE, build_wide_net


class TestClock:
    def test_time_of_a_phase_within_another_counts_once(self):
        clock = Clock()
        begin = time.perf_counter()
        with clock.phase("outer"):
            time.sleep(0.02)
            with clock.phase("inner"):
                time.sleep(0.05)
        whole = time.perf_counter() - begin
        assert clock.seconds["inner"] >= 0.05
        assert clock.seconds["outer"] >= 0.02
        assert clock.seconds["outer"] + clock.seconds["inner"] <= whole

    def test_a_phase_that_fails_is_counted_and_left(self):
        clock = Clock()
        with pytest.raises(ValueError, match="no"):
            clock.around(int, "parsing")("no")
        with clock.phase("after"):
            pass
        assert set(clock.seconds) == {"all else", "parsing", "after"}


class TestTable:
    def test_longest_first_by_medians(self):
        runs = [ClockedRun({"one": 1.0, "two": two}, wall_s=1 + two, peak_mib=1, report={}) for two in (2.0, 3.0, 9.0)]
        assert table(runs).splitlines()[2:] == [
            "| two | 3.0 | 75% |",
            "| one | 1.0 | 25% |",
            "| the whole command | 4.0 | |",
        ]


class TestRun:
    @pytest.mark.proof
    def test_phases_are_the_whole_and_a_failure_is_told(self):
        run = run_clocked(["--device=cpu", "--virtual_gpus=2", "--steps=4", "--verify=gradients"])
        assert sum(run.seconds.values()) == pytest.approx(run.wall_s)
        assert min(run.seconds.values()) >= 0
        assert {"importing TensorFlow", "training", TRACING, VERIFYING} <= set(run.seconds)
        assert run.report["training"]["steps"] == 4
        assert run.peak_mib > 300
        with pytest.raises(RuntimeError, match=r"(?s)ended with 1:.*--virtual_gpus"):
            run_clocked(["--virtual_gpus=0"])


class TestCostCurves:
    def test_parameters_are_those_of_the_model(self, monkeypatch):
        monkeypatch.setenv(UNITS_VARIABLE, "2000")
        assert Point("parameters", 1, 64, units=2000).parameters == build_wide_net((28, 28, 1), 10).count_params()

    def test_a_picture_for_each_sweep(self, tmp_path):
        costs = {"images_per_second": 1.0, "tracing_s": 2.0, "verification_s": 3.0, "peak_mib": 4.0}
        points = [
            {"sweep": sweep, "replicas": replicas, "batch": batch, "parameters": 93_322, **costs}
            for sweep in ("replicas", "batch", "parameters")
            for replicas in (1, 2)
            for batch in (64, 256)
        ]
        save_pictures(tmp_path, points)
        for name in ("replicas", "batch", "parameters"):
            assert ElementTree.parse(tmp_path / f"cost_by_{name}.svg").getroot().tag.endswith("svg")
