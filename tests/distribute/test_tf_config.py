"""`TF_CONFIG`: what TensorFlow would hang on, or take for a machine alone, is refused within a second."""

import json
import socket
import subprocess
import sys
import time

import pytest

from distribute.cluster_processes.config_error import ClusterConfigError
from distribute.cluster_processes.member import Member, loopback_members
from distribute.cluster_processes.network import check_network, exposure_warning, resolve
from distribute.cluster_processes.tf_config import parse_tf_config, read_tf_config
from tests.process import run_python

# From a block of addresses that is set aside for examples (RFC 5737): no machine has it.
ELSEWHERE = "192.0.2.7"

PATIENCE_S = 5  # it takes less than one, on a machine that has nothing else to do; TensorFlow would wait for an hour


def config(cluster, task_type="worker", index=0, **more):
    return json.dumps({"cluster": cluster, "task": {"type": task_type, "index": index}, **more})


def workers(*addresses, index=0):
    return config({"worker": list(addresses)}, index=index)


class TestForm:
    def test_workers(self):
        assert parse_tf_config(workers("a:1", "b:2", index=1)) == Member(("a:1", "b:2"), 1)

    def test_a_chief_leads_and_the_workers_follow(self):
        cluster = {"worker": ["b:1", "c:1"], "chief": ["a:1"]}
        for task_type, index, place in (("chief", 0, 0), ("worker", 0, 1), ("worker", 1, 2)):
            member = parse_tf_config(config(cluster, task_type, index))
            assert member == Member(("a:1", "b:1", "c:1"), place, has_chief=True)
            assert member.task == (task_type, index)
            assert member.is_chief == (task_type == "chief")
            assert parse_tf_config(member.tf_config()) == member

    def test_a_chief_alone(self):
        member = parse_tf_config(config({"chief": ["a:1"]}, "chief"))
        assert json.loads(member.tf_config())["cluster"] == {"chief": ["a:1"]}

    def test_that_order_is_tensorflows(self):
        from tensorflow.python.distribute import multi_worker_util

        cluster = {"worker": ["b:1", "c:1"], "chief": ["a:1"]}
        for task_type, index in (("chief", 0), ("worker", 0), ("worker", 1)):
            member = parse_tf_config(config(cluster, task_type, index))
            assert member.index == multi_worker_util.id_in_cluster(cluster, task_type, index)
            assert member.is_chief == multi_worker_util.is_chief(cluster, task_type, index)

    def test_what_a_tfjob_adds_is_ignored(self):
        assert parse_tf_config(config({"worker": ["a:1"]}, environment="cloud", rpc_layer="grpc")).index == 0

    @pytest.mark.parametrize("address", ["10.0.0.1:65535", "[::1]:1", "[fe80::1%eth0]:22", "job-worker-0.ns.svc:2222"])
    def test_addresses(self, address):
        assert parse_tf_config(workers(address)).address == address

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("", r"is no JSON \(Expecting value"),
            ("{", "is no JSON"),
            ("[" * 100_000, "is no JSON"),
            ("[1]", r"is \[1\], not an object; write"),
            ("null", "is null, not an object"),
            ("{}", "has no 'cluster': TensorFlow would run alone"),
            (json.dumps({"task": {"type": "worker", "index": 0}}), "has no 'cluster'"),
            (config({}), "has 'cluster' {}: TensorFlow would run alone"),
            (config(["a:1"]), r"has 'cluster' \[\"a:1\"\]"),
            (config(["a" * 99]), "a…: TensorFlow"),
            (
                json.dumps({"sparseCluster": {"worker": {"0": "a:1"}}, "task": {"type": "worker", "index": 0}}),
                "has 'sparseCluster'.*enableDynamicWorker: false",
            ),
            (json.dumps({"cluster": {"worker": ["a:1"]}}), "has no 'task': it says which"),
            (json.dumps({"cluster": {"worker": ["a:1"]}, "task": 0}), "has 'task' 0"),
            (json.dumps({"cluster": {"worker": ["a:1"]}, "task": {"index": 0}}), "a task without 'type'"),
            (json.dumps({"cluster": {"worker": ["a:1"]}, "task": {"type": "worker"}}), "a task without 'index'"),
            (config({"worker": ["a:1"]}, "wroker"), "a task of type 'wroker': there is no such type"),
            (config({"worker": ["a:1"]}, ["worker"]), r"a task of type \['worker'\]: no string"),
            (config({"worker": ["a:1"]}, "chief"), "type 'chief' and a cluster without any; name one .*: worker"),
            (config({"worker": ["a:1"]}, "evaluator"), "type 'evaluator': the workers evaluate"),
            (config({"worker": ["a:1"], "ps": ["b:1"]}), "cluster with 'ps': parameter servers are another strategy"),
            (config({"worker": ["a:1"], "evaluator": ["b:1"]}), "cluster with 'evaluator'"),
            (config({"master": ["a:1"]}, "master"), "cluster with 'master': TensorFlow 1"),
            (config({"wroker": ["a:1"]}), "cluster with 'wroker': there is no such type"),
            (
                config({"worker": ["a:1"]}, index=1),
                "its cluster 1 of that type; they are numbered 0 to 0",
            ),
            (config({"worker": ["a:1"]}, index=-1), "the task worker -1"),
            (config({"worker": ["a:1"]}, index="0"), "index '0', which is no integer; write a number"),
            (config({"worker": ["a:1"]}, index=True), "index True, which is no integer"),
            (config({"worker": ["a:1"]}, index=0.0), "index 0.0, which is no integer"),
            (config({"worker": ["a:1"]}, index=None), "index None, which is no integer"),
            (config({"worker": []}), "as 'worker' of its cluster, an empty list"),
            (config({"worker": {"0": "a:1"}}), 'as \'worker\' of its cluster, {"0": "a:1"}, no list'),
            (config({"worker": "a:1"}), "no list"),
            (config({"chief": ["a:1", "b:1"]}, "chief"), "has 2 chiefs"),
            (config({"worker": ["a:1"]}, rpc_layer="grpc+verbs"), "'rpc_layer' 'grpc.verbs'"),
            (workers("a:1", "b:1", "a:1"), "repeated: a:1"),
            (config({"worker": ["a:1"], "chief": ["a:1"]}), "repeated: a:1"),
            (workers(1), "address 1 is no string"),
            (workers(None), "address None is no string"),
            (workers(["a:1"]), "is no string"),
            (workers("a"), "'a' has no port; write host:port"),
            (workers("[::1]"), "has no port"),
            (workers("a:"), "has port ''"),
            (workers("a:0"), "has port '0', which is none of 1 to 65535"),
            (workers("a:65536"), "has port '65536'"),
            (workers("a:-1"), "has port '-1'"),
            (workers("a:ssh"), "has port 'ssh'"),
            (workers("a:1 "), "has port '1 '"),
            (workers("a:٢"), "has port"),
            (workers("a:" + "1" * 5000), "has port"),
            (workers("a" * 5000), "has no port"),
            (config({"worker": ["a:1"]}, "w" * 5000), "there is no such type"),
            (config({"worker": ["a:1"]}, index=10**4000), "the task worker 1000"),
            (config({"worker": ["a:1"]}, index="0" * 5000), "no integer"),
            (workers(":1"), "'' is no name or address"),
            (workers(" a:1"), "' a' is no name or address"),
            (workers("a b:1"), "no name or address"),
            (workers("a/b:1"), "no name or address"),
            (workers("http://a:1"), "has a scheme"),
            (workers("grpc://a:1"), "has a scheme"),
            (workers("::1:2222"), "IPv6 address without brackets; write .*fd00::1"),
            (workers("[::1:2222"), "IPv6 address without brackets"),
            (workers("0.0.0.0:1"), "every address of a machine"),
            (workers("[::]:1"), "every address of a machine"),
        ],
    )
    def test_what_is_none_is_refused_in_one_sentence(self, text, words):
        with pytest.raises(ClusterConfigError, match=words) as refused:
            parse_tf_config(text)
        assert refused.value.found
        assert refused.value.remedy
        assert "\n" not in str(refused.value)
        assert len(str(refused.value)) < 400


class TestNetwork:
    """With real names, addresses and ports."""

    def refuse(self, member, words, **options):
        start = time.monotonic()
        with pytest.raises(ClusterConfigError, match=words):
            check_network(member, **options)
        assert time.monotonic() - start < PATIENCE_S

    def test_a_cluster_on_this_machine(self):
        for member in loopback_members(3):
            assert read_tf_config(member.tf_config()) == member

    def test_other_hosts_need_not_be_there_yet(self):
        (member,) = loopback_members(1)
        start = time.monotonic()
        check_network(Member((*member.addresses, "not-there-yet.invalid:2222", f"{ELSEWHERE}:2222"), 0))
        assert time.monotonic() - start < PATIENCE_S

    def test_its_own_host_has_to_resolve(self):
        self.refuse(Member(("a:1", "own.invalid:2222"), 1), "this process is worker 1, and its host 'own.invalid' does")

    def test_a_name_that_cannot_be_one(self):
        self.refuse(Member((f"{'a' * 64}..b:2222",), 0), "does not resolve")

    def test_its_own_name_is_asked_for_again_as_long_as_it_may_appear(self):
        start = time.monotonic()
        with pytest.raises(ClusterConfigError, match="does not resolve"):
            check_network(Member(("own.invalid:2222",), 0), own_host_within_s=1.5)
        assert 1 < time.monotonic() - start < PATIENCE_S

    def test_its_own_address_has_to_be_this_machines(self):
        member = Member(("127.0.0.1:2222", f"{ELSEWHERE}:2222"), 1, has_chief=True)
        self.refuse(member, rf"this process is worker 0, and its host '{ELSEWHERE}' .* is no address of this machine")

    @pytest.mark.parametrize("host", ["127.0.0.1", ""])
    def test_its_own_port_has_to_be_free(self, host):
        with socket.create_server((host, 0)) as server:
            port = server.getsockname()[1]
            self.refuse(Member((f"127.0.0.1:{port}",), 0), f"port {port} of this machine cannot be opened .*in use.*ss")

    def test_a_port_stays_free_by_being_tried(self):
        (member,) = loopback_members(1)
        for _ in range(3):
            check_network(member)

    def test_two_names_of_one_address(self):
        (member,) = loopback_members(1)
        port = member.address.partition(":")[2]
        self.refuse(
            Member((member.address, f"localhost:{port}"), 0), rf"127.0.0.1:{port} and localhost:{port} are one address"
        )

    def test_two_names_of_one_address_with_two_ports(self):
        (first, second) = loopback_members(2)[0].addresses
        check_network(Member((first, second.replace("127.0.0.1", "localhost")), 0))

    def test_a_look_up_that_takes_long_is_not_waited_for(self):
        assert resolve(["localhost"], within_s=0) in ({"localhost": frozenset()}, resolve(["localhost"]))


class TestExposure:
    @pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "10.1.2.3", "192.168.0.1", "[fd00::1]", "no.invalid"])
    def test_of_no_public_address_nothing_is_said(self, host):
        assert exposure_warning(Member((f"{host}:1",), 0)) == ""

    @pytest.mark.parametrize("host", ["8.8.8.8", "[2001:4860:4860::8888]"])
    def test_of_public_addresses_is_warned(self, host):
        warning = exposure_warning(Member(("127.0.0.1:1", f"{host}:1"), 0))
        assert host.strip("[]") in warning
        assert "127.0.0.1" not in warning
        assert "encrypts nothing" in warning


class TestTensorFlow:
    """The reasons why `TF_CONFIG` is judged first; TensorFlow is asked, in a process of its own."""

    @pytest.mark.parametrize("text", ["{}", json.dumps({"sparseCluster": {"worker": {"0": "a:1"}}})])
    def test_trains_alone_without_a_word(self, text):
        code = f"""
import os
os.environ["TF_CONFIG"] = {text!r}
import tensorflow as tf
print(tf.distribute.MultiWorkerMirroredStrategy().num_replicas_in_sync)
"""
        result = run_python(code)
        assert (result.returncode, result.stdout) == (0, "1\n")

    def test_opens_its_port_on_every_address(self):
        """WORKSPACE.md warns of it: a cluster on 127.0.0.1 listens on all addresses."""
        (member,) = loopback_members(1)
        code = f"""
import os
os.environ["TF_CONFIG"] = {member.tf_config()!r}
import psutil, tensorflow as tf
strategy = tf.distribute.MultiWorkerMirroredStrategy()
print(*(c.laddr.ip for c in psutil.Process().net_connections() if c.status == "LISTEN"))
"""
        result = run_python(code)
        assert set(result.stdout.split()) <= {"::", "0.0.0.0"}
        assert result.stdout.split()

    def test_is_not_needed_to_judge(self):
        code = """
import importlib.util, sys, types
package = types.ModuleType("distribute")
package.__path__ = list(importlib.util.find_spec("distribute").submodule_search_locations)
sys.modules["distribute"] = package
import distribute.cluster_processes.slurm, distribute.cluster_processes.tf_config
assert "tensorflow" not in sys.modules
"""
        result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
        assert result.returncode == 0, result.stderr
