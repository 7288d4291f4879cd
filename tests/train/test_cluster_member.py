"""Which process of a cluster this one is, and how messages name it; whole runs: integration/test_cluster_run.py."""

import json

import pytest

from distribute.cluster import Member, WorkerFailedError
from distribute.cluster_processes.member import loopback_members
from distribute.memory_check.child_process import Outcome
from train import cluster_member
from train.cluster_member import find_member
from train.errors import InputError, MachineError

SLURM = {
    "SLURM_JOB_ID": "301",
    "SLURM_JOB_NODELIST": "localhost",
    "SLURM_STEP_TASKS_PER_NODE": "2",
    "SLURM_NTASKS": "2",
    "SLURM_PROCID": "1",
    "SLURM_LOCALID": "1",
}


def lost(job, index):
    return WorkerFailedError(index, Outcome(phase="training"), lost=job)


class TestFindMember:
    def test_by_tf_config(self):
        member = loopback_members(2)[1]
        assert find_member({"TF_CONFIG": member.tf_config()}) == member

    def test_by_slurm_on_ports_of_the_job(self):
        assert find_member(SLURM) == Member(("localhost:20032", "localhost:20033"), 1)
        assert find_member({**SLURM, "SLURM_JOB_ID": "2"}).addresses[0] == "localhost:20064"

    @pytest.mark.parametrize("environment", [{}, {**SLURM, "SLURM_NTASKS": "1"}])
    def test_none_for_a_run_of_its_own(self, environment):
        assert find_member(environment) is None

    def test_a_cluster_of_one_process_is_a_run_of_its_own(self):
        (member,) = loopback_members(1)
        assert find_member({"TF_CONFIG": member.tf_config()}) is None

    @pytest.mark.parametrize("text", ["{}", json.dumps({"cluster": {"worker": ["no.such.host.invalid:1"]}})])
    def test_what_would_hang_or_train_alone_is_refused(self, text):
        with pytest.raises(InputError, match="TF_CONFIG"):
            find_member({"TF_CONFIG": text})


class TestNames:
    def test_a_lost_process_is_named_by_its_number_in_the_whole_cluster(self):
        member = Member(("a:1", "b:2", "c:3"), 1, has_chief=True)
        assert cluster_member._who(member, lost("chief", 0)) == "process 0 (a:1)"
        assert cluster_member._who(member, lost("worker", 1)) == "process 2 (c:3)"
        without = Member(("a:1", "b:2", "c:3"), 1)
        assert cluster_member._who(without, lost("worker", 1)) == "process 1 (b:2)"

    def test_its_own_child_is_named_so_too(self):
        failure = WorkerFailedError(0, Outcome(phase="training", message="died"))
        assert cluster_member._who(Member(("a:1", "b:2"), 1), failure) == "process 1 (b:2)"

    def test_who_did_not_come_is_found_by_knocking(self):
        first, second = loopback_members(2)
        watch = cluster_member._Watch(first, form_timeout_s=-10.0, notice_timeout_s=10.0)
        with pytest.raises(MachineError, match=rf"process 1 \({second.address}\): nothing answers there"):
            watch.check()
        watch.joined()
        assert watch.check() == 0
