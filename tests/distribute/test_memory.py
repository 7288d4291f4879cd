"""Real runs, each in child processes of its own; for the arithmetic see test_memory_verdict.py."""

import subprocess
import sys
import textwrap
import time
from types import SimpleNamespace

import psutil
import pytest

from distribute.memory import check_memory, start_memory_check

TARGETS = "tests.distribute.memory_targets:"
IMAGES = TARGETS + "images"


def cpus(num_replicas, limit_mib=None):
    names = tuple(f"CPU:{index}" for index in range(num_replicas))
    return SimpleNamespace(kind="cpu", names=names, memory_limit_mib=limit_mib)


_BEFORE = set()


@pytest.fixture(autouse=True)
def _note_other_children():
    """Other tests of this process may have left a server that forks fresh processes."""
    _BEFORE.clear()
    _BEFORE.update(child.pid for child in psutil.Process().children(recursive=True))


def children():
    """The processes that a check has started and that still are there."""
    return [child for child in psutil.Process().children(recursive=True) if child.pid not in _BEFORE]


def check(build, num_replicas=2, limit_mib=None, data=IMAGES):
    report = check_memory(_target(build), data, devices=cpus(num_replicas, limit_mib))
    assert not children()
    return report, {check.name: check for check in report.checks}


def _target(build):
    return TARGETS + build if isinstance(build, str) else (TARGETS + build[0], build[1])


class TestHealthyPrograms:
    @pytest.mark.parametrize(
        ("build", "num_replicas", "limit_mib", "data"),
        [
            pytest.param("small_program", 1, 64, IMAGES, marks=pytest.mark.proof),
            ("conv_program", 2, 1024, IMAGES),
            pytest.param("compiled_conv_net", 4, 64, TARGETS + "read_images", marks=pytest.mark.proof),
        ],
    )
    def test_pass_with_figures_for_each_replica(self, build, num_replicas, limit_mib, data, capfd):
        report, checks = check(build, num_replicas, limit_mib, data)
        assert report.ok, report
        assert {check.status for check in checks.values()} == {"passed"}
        assert set(checks) == {"memory_bounds/limit", "memory_bounds/reference", "memory_bounds/growth"}
        memory = report.to_dict()["memory"]
        assert memory["limit_mib"] == limit_mib
        assert [replica["device"] for replica in memory["replicas"]] == list(cpus(num_replicas).names)
        assert all(0 < replica["peak_mib"] <= limit_mib for replica in memory["replicas"])
        assert memory["reference_peak_mib"] >= memory["replicas"][0]["peak_mib"] / 1.25
        assert memory["spread_mib"] >= memory["reference_peak_mib"] / 4
        assert memory["process_peak_mib"] is memory["overhead_mib"] is None
        parts = [memory["sum"][part] for part in ("model_state_mib", "activations_mib", "fixed_scratch_mib")]
        assert all(part is None or part >= 0 for part in parts)
        if num_replicas > 1:
            assert sum(parts) == pytest.approx(memory["sum"]["total_mib"])
        assert "buffers of an all-reduce are not in it" in checks["memory_bounds/limit"].detail
        assert capfd.readouterr() == ("", "")

    @pytest.mark.proof
    def test_without_a_limit_the_rest_is_measured(self):
        report, checks = check("small_program", 2)
        assert report.ok, report
        assert checks["memory_bounds/limit"].status == "skipped"
        assert "no memory limit" in checks["memory_bounds/limit"].detail
        assert checks["memory_bounds/reference"].status == "passed"
        assert report.memory["replicas"][1]["peak_mib"] > 0


class TestPlantedFaults:
    @pytest.mark.proof  # tests/integration/test_verification.py does the same with the real command
    def test_a_limit_that_is_too_small_comes_with_one_that_works(self):
        report, checks = check("conv_program", 2, 8)
        failed = checks["memory_bounds/limit"]
        assert failed.status == "failed"
        assert failed.allowed == 8
        assert failed.observed == report.memory["need_mib"] > 8
        advised = report.memory["advised_limit_mib"]
        assert f"--memory_limit={advised}:" in failed.detail
        assert checks["memory_bounds/growth"].status == "passed"
        report, _ = check("conv_program", 2, advised)
        assert report.ok, report

    @pytest.mark.parametrize("build", ["leaking_program", pytest.param("hoarding_program", marks=pytest.mark.proof)])
    def test_a_step_that_keeps_memory(self, build):
        report, checks = check(build)
        assert [check.name for check in report.failures] == ["memory_bounds/growth"]
        assert "MiB a step" in checks["memory_bounds/growth"].detail

    @pytest.mark.proof
    def test_no_limit_is_advised_to_a_program_that_grows_without_end(self):
        report, checks = check(("leaking_program", {"num_values": 2**19}), 2, 16)
        assert {check.name for check in report.failures} == {"memory_bounds/limit", "memory_bounds/growth"}
        assert "No limit is enough" in checks["memory_bounds/limit"].detail
        assert report.memory["advised_limit_mib"] is None

    def test_a_replica_that_needs_more_than_the_single_device(self):
        report, checks = check("program_with_work_for_small_batches")
        assert [check.name for check in report.failures] == ["memory_bounds/reference"]
        assert checks["memory_bounds/reference"].observed > 64
        assert checks["memory_bounds/reference"].allowed < 64

    @pytest.mark.proof
    def test_evaluation_counts_against_the_limit_and_not_against_the_reference(self):
        report, checks = check("program_that_evaluates_much", 2, 128)
        assert report.ok, report
        assert 64 < checks["memory_bounds/limit"].observed < 128
        assert checks["memory_bounds/reference"].observed < 32

    @pytest.mark.proof
    def test_more_than_the_machine_has_is_a_limit_that_does_not_suffice(self):
        report, checks = check("program_larger_than_any_machine")
        assert [check.name for check in report.failures] == ["memory_bounds/limit"]
        assert "ran out of this machine's memory: it raised ResourceExhausted" in checks["memory_bounds/limit"].detail

    @pytest.mark.proof
    def test_a_program_that_fails_on_its_share_is_not_called_out_of_memory(self):
        report, checks = check("program_that_fails_on_small_batches", 2, 64)
        assert [check.name for check in report.failures] == ["execution/memory"]
        assert "raised" in checks["execution/memory"].detail
        assert {checks[f"memory_bounds/{name}"].status for name in ("limit", "reference", "growth")} == {"skipped"}

    def test_a_program_that_dies_by_itself_is_not_called_out_of_memory(self):
        report, checks = check("program_that_dies")
        assert [check.name for check in report.failures] == ["execution/memory"]
        assert "died of SIGSEGV in build" in checks["execution/memory"].detail


class TestErrorsOfTheUser:
    @pytest.mark.parametrize(
        ("build", "data", "words"),
        [
            ("build_that_raises", IMAGES, "ZeroDivisionError in build: the build divides by nothing"),
            ("build_of_the_wrong_kind", IMAGES, "TypeError in training: build must return a compiled"),
            pytest.param(
                "small_program",
                TARGETS + "broken_data",
                "LookupError in data: the data is not there",
                marks=pytest.mark.proof,
            ),
            ("small_program", TARGETS + "no_batches", "ValueError in data: data holds no batch"),
        ],
    )
    def test_are_reported_as_what_they_are(self, build, data, words, capfd):
        with pytest.raises(RuntimeError, match=words) as caught:
            check(build, 2, 64, data)
        assert "Traceback" in str(caught.value)
        assert capfd.readouterr() == ("", "")
        assert "memory_bounds" not in str(caught.value)
        assert not children()

    def test_a_target_that_is_not_there_is_a_value_error(self):
        with pytest.raises(ValueError, match="has no 'no_such_name'"):
            check("no_such_name")
        with pytest.raises(ValueError, match="package.module:name"):
            start_memory_check("no target", IMAGES, devices=cpus(2))


class TestHandle:
    def test_closing_ends_the_children_at_once(self):
        with start_memory_check(TARGETS + "slow_build", IMAGES, devices=cpus(2)) as memory_check:
            deadline = time.monotonic() + 10
            while len(children()) < 2 and time.monotonic() < deadline:
                time.sleep(0.01)
            assert len(children()) == 2
            begin = time.monotonic()
        assert time.monotonic() - begin < 10  # what they do takes minutes
        assert not children()
        with pytest.raises(RuntimeError, match="closed before"):
            memory_check.result()

    def test_the_children_die_with_the_process_that_checks(self):
        code = f"""
            import psutil, time
            from tests.distribute.test_memory import *
            memory_check = start_memory_check("{TARGETS}slow_build", IMAGES, devices=cpus(2))
            while len(psutil.Process().children()) < 2:
                time.sleep(0.05)
            print(*[child.pid for child in psutil.Process().children()], flush=True)
            time.sleep(600)
        """
        with subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, text=True
        ) as parent:
            children = [psutil.Process(int(pid)) for pid in parent.stdout.readline().split()]
            parent.kill()
        assert len(children) == 2
        _, alive = psutil.wait_procs(children, timeout=5)
        assert not [child for child in alive if child.status() != psutil.STATUS_ZOMBIE]


@pytest.mark.proof
class TestAdviceProof:
    """Two to ten minutes: some of these limits end in a segfault, which wastes ten seconds each time."""

    @pytest.mark.timeout(900)
    @pytest.mark.parametrize("limit_mib", [4, 8, 9, 10, 14])
    def test_the_advised_limit_works_five_times_out_of_five(self, limit_mib):
        report, checks = check("conv_program", 2, limit_mib)
        if limit_mib > 8 and report.ok:
            return
        assert [check.name for check in report.failures] == ["memory_bounds/limit"]
        advised = report.memory["advised_limit_mib"]
        assert f"--memory_limit={advised}:" in checks["memory_bounds/limit"].detail
        for _ in range(5):
            report, _ = check("conv_program", 2, advised)
            assert report.ok, report
