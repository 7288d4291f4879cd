"""The cluster of a Slurm job step, from its variables alone."""

import pytest

from distribute.cluster_processes.config_error import ClusterConfigError
from distribute.cluster_processes.slurm import expand_hosts, expand_tasks, slurm_member

STEP = {
    "SLURM_STEP_NODELIST": "node[01-02],login",
    "SLURM_STEP_TASKS_PER_NODE": "2(x2),1",
    "SLURM_STEP_NUM_TASKS": "5",
    "SLURM_PROCID": "3",
    "SLURM_LOCALID": "1",
}
ADDRESSES = ("node01:2222", "node01:2223", "node02:2222", "node02:2223", "login:2222")


def without(*names):
    return {name: value for name, value in STEP.items() if name not in names}


class TestHosts:
    @pytest.mark.parametrize(
        ("text", "hosts"),
        [
            ("login", ["login"]),
            ("node[01-03,07],login", ["node01", "node02", "node03", "node07", "login"]),
            ("node[9-11]", ["node9", "node10", "node11"]),
            ("node[008-010]", ["node008", "node009", "node010"]),
            ("b,a,b", ["b", "a", "b"]),
            ("rack[1-2]node[01-02]", ["rack1node01", "rack1node02", "rack2node01", "rack2node02"]),
            ("node[1-2]-ib.cluster", ["node1-ib.cluster", "node2-ib.cluster"]),
            ("[1-2]", ["1", "2"]),
            ("a[1,3-4],b-[5]c,d7", ["a1", "a3", "a4", "b-5c", "d7"]),
        ],
    )
    def test_are_expanded(self, text, hosts):
        assert expand_hosts(text) == hosts

    @pytest.mark.parametrize(
        "text",
        ["", "a,", ",a", "a,,b", "a[", "a]", "a[]", "a[1-]", "a[-1]", "a[x]", "a[3-1]", "a[1[2]]", "a[1,]", "a[1-2-3]"],
    )
    def test_that_cannot_be_read_are_refused(self, text):
        with pytest.raises(ClusterConfigError, match=r"host list cannot be read at .*; it looks like node\[01-03,07\]"):
            expand_hosts(text)

    @pytest.mark.parametrize("text", ["a[1-9999999999]", "a[1-1000]b[1-1000]c[1-1000]", "a[1-60000],b[1-60000]"])
    def test_of_more_than_any_machine_are_refused(self, text):
        with pytest.raises(ClusterConfigError, match="more than 100000 entries"):
            expand_hosts(text)


class TestTasks:
    @pytest.mark.parametrize(
        ("text", "tasks"), [("1", [1]), ("2(x3),1", [2, 2, 2, 1]), ("4,2(x2)", [4, 2, 2]), ("16(x1)", [16])]
    )
    def test_are_expanded(self, text, tasks):
        assert expand_tasks(text) == tasks

    @pytest.mark.parametrize("text", ["", "2,", "x3", "2(3)", "2(x)", "2(x3", "-1", "two"])
    def test_that_cannot_be_read_are_refused(self, text):
        with pytest.raises(ClusterConfigError, match=r"cannot be read; they look like 2\(x3\),1"):
            expand_tasks(text)

    def test_of_more_than_any_machine_are_refused(self):
        with pytest.raises(ClusterConfigError, match="more than 100000 entries"):
            expand_tasks("1(x99999999999)")


class TestMember:
    def test_several_tasks_of_a_node_differ_in_their_ports(self):
        member = slurm_member(STEP, 2222)
        assert member.addresses == ADDRESSES
        assert member.index == 3
        assert not member.is_chief

    def test_the_jobs_nodes_and_tasks_stand_in_for_those_of_the_step(self):
        rest = without("SLURM_STEP_NODELIST", "SLURM_STEP_NUM_TASKS")
        job = {"SLURM_JOB_NODELIST": "node[01-02],login", "SLURM_NTASKS": "5"}
        assert slurm_member({**rest, **job}, 2222) == slurm_member(STEP, 2222)

    @pytest.mark.parametrize(
        "environment",
        [
            {},
            {"SLURM_JOB_NODELIST": "node[1-2]", "SLURM_NTASKS": "2", "SLURM_PROCID": "0", "SLURM_LOCALID": "0"},
            {**STEP, "SLURM_STEP_NUM_TASKS": "1", "SLURM_STEP_TASKS_PER_NODE": "1"},
        ],
        ids=["no Slurm", "the batch script", "one task"],
    )
    def test_there_is_none_outside_of_srun_with_several_tasks(self, environment):
        assert slurm_member(environment, 2222) is None

    @pytest.mark.parametrize(
        ("environment", "words"),
        [
            ({**STEP, "SLURM_PROCID": "1", "SLURM_LOCALID": "0"}, "task 1 of 5 is number 0 .*--distribution=block"),
            ({**STEP, "SLURM_PROCID": "5"}, "task 5 of 5"),
            ({**STEP, "SLURM_PROCID": "-1"}, "SLURM_PROCID is '-1', no number"),
            ({**STEP, "SLURM_STEP_NUM_TASKS": "many"}, "SLURM_STEP_NUM_TASKS or SLURM_NTASKS is 'many', no number"),
            ({**STEP, "SLURM_STEP_NUM_TASKS": "6"}, r"3 nodes, task counts of 3 \(2\(x2\),1\) and 6 tasks"),
            ({**STEP, "SLURM_STEP_NODELIST": "node[01-02]"}, "2 nodes, task counts of 3"),
            (without("SLURM_PROCID"), "has not set SLURM_PROCID; .*srun"),
            (without("SLURM_LOCALID"), "has not set SLURM_LOCALID"),
            (without("SLURM_STEP_NODELIST"), "has not set SLURM_STEP_NODELIST or SLURM_JOB_NODELIST"),
        ],
    )
    def test_variables_that_contradict_each_other_are_refused(self, environment, words):
        with pytest.raises(ClusterConfigError, match=words):
            slurm_member(environment, 2222)

    def test_a_port_beyond_the_last_one_is_refused(self):
        with pytest.raises(ClusterConfigError, match="'node01:65536' has port '65536'"):
            slurm_member(STEP, 65535)
