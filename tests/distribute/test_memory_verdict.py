import pytest

from distribute import Check, Report
from distribute.memory_check.advice import Advice, search_limit
from distribute.memory_check.child_process import ChildProcess
from distribute.memory_check.trace import MIB, MemoryTrace, may_grow, split_sum, sure_growth
from distribute.memory_check.verdict import Measured, OutOfLimit, report_failure, report_on, report_out_of_memory


def trace(peaks_mib=(4.0, 3.0, 3.0), ends=(100,) * 25, batch_size=32, num_threads=1, **further):
    peaks = [int(mib * MIB) for mib in peaks_mib]
    return MemoryTrace("CPU:0", batch_size, peaks, ends, MIB, num_threads, **further)


def judged(replicas, **further):
    arguments = {"limit_mib": 8, "devices": ("A:0", "A:1"), "reference": trace(batch_size=64)}
    report = report_on(Measured(replicas=replicas, **{**arguments, **further}))
    return report, {check.name.removeprefix("memory_bounds/"): check for check in report.checks}


class TestReference:
    def test_a_first_step_that_tried_kernels_is_not_held_against_a_device_that_knows_them(self):
        replicas = [trace((95.0, 70.0, 70.0))]
        reference = trace((71.0, 70.5, 70.0), batch_size=64)
        assert judged(replicas, limit_mib=1024, reference=reference)[1]["reference"].status == "failed"
        checks = judged(replicas, limit_mib=1024, reference=reference, first_compared=1)[1]
        assert checks["reference"].status == "passed"


class TestGrowth:
    def test_a_floor_that_comes_back_is_no_growth(self):
        assert sure_growth([100, 900, 100, 500, 300, 100, 100, 100, 800] * 3) == 0

    def test_one_step_up_is_no_growth(self):
        assert sure_growth([100] * 10 + [200] * 14) == 0

    def test_the_least_rise_of_the_floor_counts(self):
        assert sure_growth([10 * step for step in range(24)]) == 80

    def test_noise_does_not_hide_a_leak(self):
        assert sure_growth([256 * step + (7919 * step) % 1024 for step in range(96)]) > 0

    def test_too_few_steps_say_nothing(self):
        assert sure_growth([1, 2]) == 0
        assert sure_growth([]) == 0

    def test_any_rise_that_does_not_come_back_asks_for_more_steps(self):
        assert may_grow([100] * 16 + [101] * 8)
        assert not may_grow([100] * 8 + [101] * 8 + [100] * 8)
        assert not may_grow([100] * 24)

    def test_is_told_per_step(self):
        assert trace(ends=[MIB * step for step in range(25)]).growth_per_step_mib == pytest.approx(1.0)


class TestSpread:
    def test_leaves_the_first_step_out(self):
        assert trace((9.0, 3.0, 3.5, 3.25)).spread_mib == pytest.approx(0.5)

    def test_is_a_quarter_of_the_peak_where_the_order_of_ops_is_free(self):
        assert trace((8.0, 3.0, 3.5), num_threads=2).spread_mib == pytest.approx(2.0)
        assert trace((8.0, 3.0, 7.5), num_threads=2).spread_mib == pytest.approx(4.5)


class TestSplitSum:
    def test_fixed_scratch_is_the_intercept_without_the_state(self):
        # 1 MiB of state, 2 of scratch, 0.125 for each example
        split = split_sum(trace((7.0, 7.0)), trace((11.0, 11.0), batch_size=64), 2)
        assert split == {
            "total_mib": 14.0,
            "model_state_mib": 2.0,
            "activations_mib": 8.0,
            "fixed_scratch_mib": 4.0,
        }

    def test_one_batch_size_cannot_tell_activations_from_scratch(self):
        split = split_sum(trace((7.0, 7.0)), trace((7.0, 7.0)), 1)
        assert split["activations_mib"] is split["fixed_scratch_mib"] is None


class TestVerdict:
    def test_one_trace_stands_for_all_replicas(self):
        report, checks = judged([trace()])
        assert report.ok
        assert report.memory["replicas"] == [
            {"device": "A:0", "peak_mib": 4},
            {"device": "A:1", "peak_mib": 4},
        ]
        assert checks["limit"].observed == 4

    def test_the_worst_replica_is_judged(self):
        report, checks = judged([trace(), trace((9.0, 3.0))])
        assert {check.name for check in report.failures} == {"memory_bounds/limit", "memory_bounds/reference"}
        assert checks["limit"].observed == 9

    def test_evaluation_counts_against_the_limit_alone(self):
        report, checks = judged([trace(evaluation_peak=10 * MIB)])
        assert [check.name for check in report.failures] == ["memory_bounds/limit"]
        assert checks["reference"].observed == 4

    def test_the_spread_is_allowed_on_top_of_the_reference(self):
        reference = trace((4.0, 3.0), batch_size=64, num_threads=2)
        assert judged([trace((5.0, 3.0))], reference=reference)[0].ok
        assert not judged([trace((5.1, 3.0))], reference=reference)[0].ok

    def test_a_reference_that_does_not_fit_is_skipped_with_its_reason(self):
        report, checks = judged([trace()], reference=None, no_reference="it does not fit")
        assert report.ok
        assert (checks["reference"].status, checks["reference"].detail) == ("skipped", "it does not fit")
        assert report.to_dict()["memory"]["reference_peak_mib"] is None

    def test_a_failed_search_is_said(self):
        advice = Advice(None, 0, [11, 16], 61.0)
        report, checks = judged([trace()], out_of_limit=OutOfLimit("died of SIGSEGV in training", advice))
        assert checks["limit"].status == "failed"
        assert "No limit was found to work in a search of 61 s; tried: 11 MiB, 16 MiB" in checks["limit"].detail
        assert report.memory["advised_limit_mib"] is None
        assert report.memory["need_mib"] == 4

    def test_a_program_that_does_not_run_says_nothing_of_what_it_computes(self):
        report = report_failure("raised KeyError: 'loss'", 512)
        verdict = "FAILED: the replicas do not run to the end of the memory check (1 of 1 checks failed)"
        assert str(report).splitlines()[0] == verdict
        both = Report(checks=(Check("metrics/loss", "failed"), *report.checks))
        assert "do not compute what one device computes and do not run to the end" in str(both)

    def test_a_gpu_out_of_memory_has_failed_its_limit(self):
        report = report_out_of_memory("the limit of 512 MiB", "raised ResourceExhaustedError: OOM", 512)
        assert [check.name for check in report.failures] == ["memory_bounds/limit"]
        assert "512 MiB" in report.checks[0].detail


class TestSearch:
    """Children that need no TensorFlow stand for the program."""

    def search(self, need_mib, budget_s=60.0, entry="needs", **further):
        def start(limit_mib, timeout_s):
            arguments = {"limit_mib": limit_mib, "need_mib": need_mib} if entry == "needs" else {}
            return ChildProcess(
                f"tests.distribute.child_targets:{entry}", arguments, environment={}, timeout_s=timeout_s
            )

        return search_limit(start, **{"need_mib": 10.0, "failed_mib": 8, "budget_s": budget_s, **further})

    def test_advises_a_limit_under_which_every_run_passed(self):
        advice = self.search(need_mib=15)
        assert (advice.limit_mib, advice.num_runs, list(advice.tried_mib)) == (19, 4, [13])

    def test_a_limit_that_failed_is_not_advised(self):
        assert self.search(need_mib=0, failed_mib=40).limit_mib == 41

    def test_ends_in_time_without_advice(self):
        advice = self.search(need_mib=0, entry="hang", budget_s=1.0)
        assert advice.limit_mib is None
        assert advice.seconds < 10
