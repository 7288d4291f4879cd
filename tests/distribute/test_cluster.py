"""Processes that are started, watched and ended together; they need no TensorFlow here."""

import json
import os
import signal
import subprocess
import sys
import textwrap

import pytest

from distribute.cluster import Member, WorkerFailedError, run_on_this_machine
from distribute.device_plan import DevicePlan
from distribute.process_devices import plan_process_devices, variables_of_process
from tests.process import is_running, wait_until


def run(name, num_processes=2, variables=(), **options):
    arguments = options.pop("arguments", {})
    environment = {**os.environ, **dict(variables)}
    environments = [{**environment, "OWN": str(index)} for index in range(num_processes)]
    return run_on_this_machine(f"tests.distribute.cluster_targets:{name}", arguments, environments, **options)


@pytest.fixture
def pids():
    """Process ids that the processes tell; none may be left after the test."""
    told = []
    yield told
    assert not [pid for pid in told if is_running(pid)]


class TestMember:
    def test_is_told_to_tensorflow_in_its_own_words(self):
        member = Member(("10.0.0.1:1000", "10.0.0.2:1000"), 1)
        assert json.loads(member.tf_config()) == {
            "cluster": {"worker": ["10.0.0.1:1000", "10.0.0.2:1000"]},
            "task": {"type": "worker", "index": 1},
        }
        assert not member.is_chief

    @pytest.mark.parametrize(
        ("addresses", "index", "words"),
        [
            (("a:1", "b:1", "a:1"), 0, "repeated: a:1"),
            (("a:1", "b:1"), 2, "process 2 of a cluster of 2"),
            ((), 0, "process 0 of a cluster of 0"),
        ],
    )
    def test_refuses_what_tensorflow_would_hang_on(self, addresses, index, words):
        with pytest.raises(ValueError, match=words):
            Member(addresses, index)


class TestResults:
    def test_come_in_order_from_processes_that_know_each_other(self, capfd, pids):
        news = []
        results = run(
            "describe", 3, arguments={"greeting": "hello"}, on_news=lambda index, said: news.append((index, said))
        )
        pids += [result["pid"] for result in results]
        assert [result["task"]["index"] for result in results] == [0, 1, 2]
        assert [result["own"] for result in results] == ["0", "1", "2"]
        assert sorted(index for index, _ in news) == [0, 1, 2]
        assert all(said == {"greeting": "hello", "index": index} for index, said in news)
        assert capfd.readouterr() == ("printed by 0\n", "")

    def test_one_process_alone_is_no_cluster(self, monkeypatch):
        monkeypatch.delenv("TF_CONFIG", raising=False)
        (result,) = run("describe", 1, arguments={"greeting": ""})
        assert result["task"] is None


class TestFailure:
    """Of one process: the others end, and it is named."""

    @pytest.mark.parametrize("failing", [0, 1, 2])
    @pytest.mark.parametrize(
        ("how", "words"),
        [
            ("raise", ["raised ValueError in working: what was wrong", "cluster_targets.py"]),
            ("die", ["died of SIGSEGV in working"]),
            ("leave", ["left with exit code 7 in working"]),
        ],
    )
    def test_is_named_and_ends_the_others(self, pids, how, words, failing):
        arguments = {"how": how, "failing": failing, "text": "what was wrong"}
        with pytest.raises(WorkerFailedError) as raised:
            run("finish_or_fail", 3, arguments=arguments, on_news=lambda index, pid: pids.append(pid))
        assert raised.value.index == failing
        for word in [f"process {failing} of the cluster", *words]:
            assert word in str(raised.value)
        if how != "raise" and failing > 0:
            assert raised.value.outcome.report == "the last words"
        assert raised.value.outcome.signal == (signal.SIGSEGV if how == "die" else None)

    def test_that_others_notice_first_is_still_the_one_that_is_told(self):
        with pytest.raises(WorkerFailedError, match="process 1 of the cluster raised MemoryError in start: the reason"):
            run("fail_after_others", 3)

    @pytest.mark.proof
    def test_of_a_process_that_only_keeps_silent(self, pids):
        text = "Collective ops is aborted by: Error reported from /job:worker/task:1: unhealthy"
        arguments = {"how": "raise", "failing": 0, "text": text}
        with pytest.raises(WorkerFailedError, match="process 1 of the cluster does not answer any more") as raised:
            run("finish_or_fail", 2, arguments=arguments, on_news=lambda index, pid: pids.append(pid))
        assert raised.value.lost


class TestStop:
    def test_waits_for_the_first_process_to_save(self, tmp_path):
        news = []
        told = tmp_path / "told"
        with pytest.raises(WorkerFailedError) as raised:
            run(
                "stop_when_told",
                variables={"TOLD": str(told)},
                on_news=lambda index, said: news.append((index, said)),
                stop=lambda: signal.SIGINT if len(news) == 2 else 0,
            )
        assert told.read_text() == str(int(signal.SIGINT))
        assert (0, "saved") in news
        assert "KeyboardInterrupt" in raised.value.outcome.error_types


class TestPorts:
    def test_that_were_taken_meanwhile_are_replaced_by_others(self, tmp_path):
        tried = tmp_path / "tried"
        results = run("take_the_port_at_first", variables={"TRIED": str(tried), "FAILURES": "1"})
        assert results == [0, 1]
        first, *_, last = tried.read_text().splitlines()
        assert json.loads(first)["cluster"] != json.loads(last)["cluster"]

    def test_it_is_not_tried_for_ever(self, tmp_path):
        with pytest.raises(WorkerFailedError, match="Could not start gRPC server"):
            run("take_the_port_at_first", variables={"TRIED": str(tmp_path / "tried"), "FAILURES": "9"})


class TestParent:
    def test_takes_its_processes_with_it(self, pids):
        code = """
            from tests.distribute.test_cluster import run
            run("hang", on_news=lambda index, pid: print(pid, flush=True))
        """
        command = [sys.executable, "-c", textwrap.dedent(code)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
            told = [int(parent.stdout.readline()) for _ in range(2)]
            assert all(is_running(pid) for pid in told)
            parent.kill()
        wait_until(lambda: not any(is_running(pid) for pid in told))
        pids += told


def gpus(*slices, limit=1000):
    return DevicePlan("gpu", slices, "limit", limit, "", "")


class TestEnvironments:
    def test_on_a_cpu_cap_the_allocator(self):
        devices, environments = plan_process_devices(2, memory_limit_mib=30, kind="cpu")
        assert devices.names == ("worker:0/CPU:0", "worker:1/CPU:0")
        assert "own process" in devices.limit_enforced_by
        for environment in environments:
            assert environment["TF_CPU_ALLOCATOR_USE_BFC"] == "true"
            assert environment["TF_CPU_BFC_MEM_LIMIT_IN_MB"] == "30"

    def test_on_a_cpu_without_a_limit_count_and_cap_nothing(self, monkeypatch):
        monkeypatch.setenv("TF_CPU_BFC_MEM_LIMIT_IN_MB", "5")
        devices, (environment,) = plan_process_devices(1, kind="cpu")
        assert devices.limit_enforced_by == ""
        assert environment["TF_CPU_ALLOCATOR_USE_BFC"] == "true"
        assert "TF_CPU_BFC_MEM_LIMIT_IN_MB" not in environment

    @pytest.mark.parametrize(
        ("plan", "visible", "expected"),
        [
            (gpus(2, 1), None, ["0", "0", "1"]),
            (gpus(2, 1), "3, 5,7", ["3", "3", "5"]),
            (gpus(1, 1), "GPU-aa,GPU-bb", ["GPU-aa", "GPU-bb"]),
        ],
    )
    def test_on_gpus_show_each_process_its_own(self, plan, visible, expected):
        environment = {} if visible is None else {"CUDA_VISIBLE_DEVICES": visible}
        shown = [
            variables_of_process(plan, index, environment)["CUDA_VISIBLE_DEVICES"] for index in range(sum(plan.slices))
        ]
        assert shown == expected
