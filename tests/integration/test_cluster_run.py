"""`train/main.py` as one process of a cluster: the real processes on this machine, joined by ``TF_CONFIG``."""

import os
import signal
import subprocess
import sys

import numpy as np
import psutil
import pytest

from distribute.cluster_processes.member import loopback_members
from tests.process import REPOSITORY, assert_refused, is_running, run_main, run_script_in_fork, wait_until

from .isolation_runs import FLOAT64, checkpoints_of, report_of, weights_of

# Its proof passes on the two devices of one process; over two processes every replica takes the first half of a batch.
SPLITS_WRONGLY = """
import tensorflow as tf
import train.loop
from configs import digits
from train.sharding import take_shard

def first_rows(batch, replica_id, num_replicas):
    return take_shard(batch, replica_id * 0, 2) if num_replicas == 4 else take_shard(batch, replica_id, num_replicas)

train.loop.take_shard = first_rows
get_config = digits.get_config
"""
# Of every sum over four replicas, which no single process has, one replica's part arrives twice.
DOUBLES_A_SUMMAND = """
import tensorflow as tf
from configs import digits

def all_reduce(self, op, value, options=None, original=tf.distribute.ReplicaContext.all_reduce):
    twice = tf.equal(self.replica_id_in_sync_group, 2) & (self.num_replicas_in_sync == 4)
    altered = tf.nest.map_structure(lambda part: tf.where(twice, 2 * part, part), value)
    return original(self, op, altered, options)

tf.distribute.ReplicaContext.all_reduce = all_reduce
get_config = digits.get_config
"""
DROPS_OUT = """
import keras
from configs.recipe import Recipe

def build(shape, classes):
    layers = [keras.layers.Flatten(), keras.layers.Dropout(0.5, seed=1), keras.layers.Dense(classes)]
    return keras.Sequential([keras.Input(shape), *layers])

def get_config():
    return Recipe(build_model=build, build_optimizer=keras.optimizers.Adam)
"""
# Each process has a seed, and so an order of examples, of its own.
OTHER_SEEDS = """
import dataclasses, json, os
from configs import digits

def get_config():
    index = json.loads(os.environ["TF_CONFIG"])["task"]["index"]
    return dataclasses.replace(digits.get_config(), seed=index)
"""
ENDLESS = ["--verify=off", "--epochs=100000", "--save_every=5", "--notice_timeout=10"]


class Cluster:
    """The command, once for each member of a cluster."""

    def __init__(self, folder, *flags):
        self.folder = folder
        self.processes = [self._start(member, flags) for member in loopback_members(2)]

    def _start(self, member, flags):
        command = [sys.executable, str(REPOSITORY / "train/main.py"), f"--output_dir={self.folder}", *flags]
        environment = {**os.environ, "TF_CONFIG": member.tf_config()}
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)

    def wait_for_training(self):
        """Waits for a checkpoint; returns the process that trains, of each member."""
        wait_until(lambda: checkpoints_of(self.folder) or any(one.poll() is not None for one in self.processes))
        return [psutil.Process(one.pid).children()[0] for one in self.processes]

    def end(self):
        """Waits for the end; returns exit codes and what was said, of each member."""
        said = [one.communicate(timeout=300) for one in self.processes]
        return [one.returncode for one in self.processes], [output for output, _ in said], [error for _, error in said]


@pytest.fixture
def start(tmp_path):
    """Starts clusters, and leaves no process behind."""
    clusters = []

    def start_one(*flags, folder="run"):
        clusters.append(Cluster(tmp_path / folder, *flags))
        return clusters[-1]

    yield start_one
    for cluster in clusters:
        for process in cluster.processes:
            process.kill()
            process.communicate()


class TestTraining:
    def test_two_processes_with_two_devices_each_train_what_one_device_trains(self, tmp_path, start):
        (tmp_path / "float64.py").write_text(FLOAT64)
        flags = [f"--config={tmp_path / 'float64.py'}", "--steps=20"]
        codes, outputs, errors = start(*flags, "--virtual_gpus=2", "--verify=off").end()
        assert codes == [0, 0], errors
        assert "test accuracy" in outputs[0]
        assert "test accuracy" not in outputs[1]
        report = report_of(tmp_path / "run")
        assert (report["transport"]["ok"], report["transport"]["failures"]) == (True, [])
        assert report["devices"]["names"] == ["worker:0/CPU:0", "worker:0/CPU:1", "worker:1/CPU:0", "worker:1/CPU:1"]
        result = run_main(*flags, "--verify=off", f"--output_dir={tmp_path / 'alone'}")
        assert result.returncode == 0, result.stderr
        values, expected = weights_of(tmp_path / "run", 20), weights_of(tmp_path / "alone", 20)
        for name in expected:
            if values[name].shape == expected[name].shape:  # not what each replica holds of its own
                np.testing.assert_allclose(values[name], expected[name], rtol=1e-10, atol=1e-10, err_msg=name)

    @pytest.mark.proof
    def test_the_step_over_all_processes_is_verified(self, start):
        run = start("--virtual_gpus=2", "--verify=gradients", "--steps=5")
        codes, _, errors = run.end()
        assert codes == [0, 0], errors
        statuses = {check["name"]: check["status"] for check in report_of(run.folder)["checks"]}
        assert statuses["update_equivalence/cluster"] == "passed"

    @pytest.mark.proof
    def test_a_sum_that_is_damaged_between_the_processes_ends_the_run_before_training(self, tmp_path, start):
        (tmp_path / "recipe.py").write_text(DOUBLES_A_SUMMAND)
        run = start(f"--config={tmp_path / 'recipe.py'}", "--virtual_gpus=2", "--verify=off", "--steps=5")
        codes, _, errors = run.end()
        assert codes == [3, 3], errors
        for error in errors:
            assert "devices do not get what they are sent: the strategy's all-reduce, on CPU:0: 262,150 of" in error
            assert "NCCL_P2P_DISABLE=1" in error
        report = report_of(run.folder)
        assert report["transport"]["ok"] is False
        assert report["training"]["steps"] is None

    @pytest.mark.proof
    def test_processes_that_would_train_on_something_else_are_refused(self, tmp_path, start):
        (tmp_path / "recipe.py").write_text(OTHER_SEEDS)
        codes, _, errors = start(f"--config={tmp_path / 'recipe.py'}", "--verify=off", "--steps=5").end()
        assert codes == [3, 3], errors
        assert all("process 1 has another recipe than process 0" in error for error in errors), errors

    @pytest.mark.proof
    def test_a_step_that_draws_random_numbers_is_not_held_against_one_device(self, tmp_path, start):
        (tmp_path / "recipe.py").write_text(DROPS_OUT)
        flags = [
            f"--config={tmp_path / 'recipe.py'}",
            "--accept=identical_randomness",
            "--verify=gradients",
            "--steps=5",
        ]
        codes, outputs, errors = start(*flags, "--virtual_gpus=2").end()
        assert codes == [0, 0], (outputs, errors)
        checks = {check["name"]: check["status"] for check in report_of(tmp_path / "run")["checks"]}
        assert checks["update_equivalence/cluster"] == "skipped"

    @pytest.mark.proof
    def test_a_limit_that_is_too_small_is_explained(self, start):
        codes, _, errors = start("--virtual_gpus=2", "--memory_limit=5", "--verify=off", "--steps=5").end()
        assert codes == [3, 3]
        assert any("ran out of memory under its limit of 5 MiB" in error for error in errors), errors

    @pytest.mark.proof
    def test_a_wrong_split_over_the_processes_is_caught_before_training(self, tmp_path, start):
        (tmp_path / "recipe.py").write_text(SPLITS_WRONGLY)
        run = start(f"--config={tmp_path / 'recipe.py'}", "--virtual_gpus=2", "--verify=gradients", "--steps=5")
        codes, outputs, _ = run.end()
        assert codes == [2, 2]
        assert "failed  update_equivalence/cluster" in outputs[0]
        assert not checkpoints_of(tmp_path / "run")


class TestEnd:
    def test_a_process_that_does_not_come_is_named_in_bounded_time(self, tmp_path):
        first, second = loopback_members(2)
        flags = ["--verify=off", "--form_timeout=1", f"--output_dir={tmp_path / 'run'}"]
        result = run_main(*flags, TF_CONFIG=first.tf_config(), timeout=60)
        assert_refused(result, 3, f"process 1 ({second.address}): nothing answers there", "--form_timeout=1")
        assert report_of(tmp_path / "run")["ok"] is False

    @pytest.mark.proof
    @pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
    @pytest.mark.parametrize("lost", [0, 1])
    def test_a_process_that_is_lost_ends_all_and_all_resume(self, start, lost, number):
        run = start(*ENDLESS)
        training = run.wait_for_training()
        training[lost].send_signal(number)
        other = run.processes[1 - lost]
        error = other.communicate(timeout=120)[1]
        assert other.returncode == 3
        assert error.startswith(f"main.py: process {lost} ")
        assert run.processes[lost].wait(timeout=60) == 3
        assert not [one for one in training if is_running(one.pid)]
        steps = max(int(name.removeprefix("ckpt-").removesuffix(".index")) for name in checkpoints_of(run.folder))
        codes, outputs, errors = start("--resume", "--verify=off", f"--steps={steps + 5}").end()
        assert codes == [0, 0], errors
        assert report_of(run.folder)["training"]["steps"] == steps + 5

    @pytest.mark.proof
    @pytest.mark.parametrize("stopped", [0, 1])
    def test_a_signal_to_one_stops_all_after_the_same_step(self, start, stopped):
        run = start(*ENDLESS)
        run.wait_for_training()
        run.processes[stopped].send_signal(signal.SIGTERM)
        codes, _, errors = run.end()
        assert codes == [143, 143], errors
        assert report_of(run.folder)["training"]["steps"] > 0


class TestRefusals:
    @pytest.mark.parametrize(
        ("text", "flags", "words"),
        [
            ("{}", [], "TF_CONFIG has no 'cluster'"),
            (
                '{"cluster": {"worker": ["127.0.0.1:1", "127.0.0.1:1"]}, "task": {"type": "worker", "index": 0}}',
                [],
                "repeated",
            ),
            (loopback_members(2)[0].tf_config(), ["--isolation=process"], "--isolation=process"),
        ],
    )
    def test_what_would_hang_or_train_alone(self, tmp_path, text, flags, words):
        before = f"import os; os.environ['TF_CONFIG'] = {text!r}"
        result = run_script_in_fork("train/main.py", "--output_dir=run", *flags, cwd=tmp_path, before=before)
        assert_refused(result, 1, words)
        assert not (tmp_path / "run").exists()
