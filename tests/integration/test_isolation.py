"""The real command with ``--isolation=process``: one process for each replica, under a limit of its own."""

import json
import signal
import subprocess
import sys
import time

import numpy as np
import psutil
import pytest
import tensorflow as tf

from tests.distribute.test_cluster import is_running
from tests.process import REPOSITORY, assert_refused, run_main, wait_until

# In float64 what differs is rounding. Neither two nor three replicas share a batch of 55, nor two the rest of 7.
FLOAT64 = """
import dataclasses
from configs import digits

def get_config():
    return dataclasses.replace(digits.get_config(), dtype_policy="float64", global_batch_size=55)
"""

# Does something on replica 1 alone, in the step of training.
ON_REPLICA_1 = """
import os, signal, time
import keras
import numpy as np
import tensorflow as tf
from configs.recipe import Recipe

def take_memory(inputs):
    rows = 200 + tf.cast(tf.reduce_min(inputs), tf.int32)  # of images, so 200: TensorFlow would fold a constant
    return tf.reduce_sum(tf.fill([rows, 2**20], 1.0))  # 800 MiB

def in_python(function):
    value = tf.numpy_function(lambda: np.float32(function() or 0), [], tf.float32)
    value.set_shape([])
    return value

class OnReplica1(keras.layers.Layer):
    def call(self, inputs, training=None):
        replica = tf.distribute.get_replica_context()
        if not training or replica is None or replica.num_replicas_in_sync == 1:
            return inputs
        act = lambda: %s
        extra = tf.cond(tf.equal(replica.replica_id_in_sync_group, 1), act, lambda: 0.0)
        return inputs + 0.0 * extra

def build(shape, classes):
    return keras.Sequential([keras.Input(shape), keras.layers.Flatten(), OnReplica1(), keras.layers.Dense(classes)])

def get_config():
    return Recipe(build_model=build, build_optimizer=keras.optimizers.Adam)
"""
TAKES_MEMORY = ON_REPLICA_1 % "take_memory(inputs)"
CRASHES = ON_REPLICA_1 % "in_python(lambda: os.kill(os.getpid(), signal.SIGSEGV))"
NEVER_RETURNS = ON_REPLICA_1 % "in_python(lambda: open(__file__ + '.started', 'w').close() or time.sleep(600))"

# Its model keeps a sum over replicas: to read it for a checkpoint, all processes have to add up what they have.
KEEPS_A_SUM = """
import keras
import tensorflow as tf
from configs.recipe import Recipe

class Keeps(keras.layers.Layer):
    def build(self, shape):
        self.sum = tf.Variable(
            0.0,
            trainable=False,
            synchronization=tf.VariableSynchronization.ON_READ,
            aggregation=tf.VariableAggregation.SUM,
        )

    def call(self, inputs):
        if tf.distribute.get_replica_context() is not None:
            self.sum.assign_add(tf.cast(tf.shape(inputs)[0], tf.float32))
        return inputs

def build(shape, classes):
    return keras.Sequential([keras.Input(shape), keras.layers.Flatten(), Keeps(), keras.layers.Dense(classes)])

def get_config():
    return Recipe(build_model=build, build_optimizer=keras.optimizers.Adam)
"""

STOPS_WHILE_IT_BUILDS = """
import json, os, signal
import keras
from configs.recipe import Recipe

def build(shape, classes):
    if json.loads(os.environ["TF_CONFIG"])["task"]["index"] == 0:
        os.kill(os.getpid(), signal.SIGTERM)
    return keras.Sequential([keras.Input(shape), keras.layers.Flatten(), keras.layers.Dense(classes)])

def get_config():
    return Recipe(build_model=build, build_optimizer=keras.optimizers.Adam)
"""


def report_of(folder):
    return json.loads((folder / "report.json").read_text())


def checkpoints_of(folder):
    return sorted(path.name for path in folder.glob("checkpoints/ckpt-*.index"))


def weights_of(folder, step):
    """A checkpoint's values by their names: weights, optimizer slots, means of the epoch; not the count of saves."""
    reader = tf.train.load_checkpoint(str(folder / f"checkpoints/ckpt-{step}"))
    types = reader.get_variable_to_dtype_map()
    return {
        name: reader.get_tensor(name)
        for name, dtype in types.items()
        if dtype != tf.string and "save_counter" not in name
    }


def assert_same_state(folder, other, step):
    values, expected = weights_of(folder, step), weights_of(other, step)
    assert values.keys() == expected.keys()
    assert len(values) > 20
    for name, value in values.items():
        np.testing.assert_allclose(value, expected[name], rtol=1e-9, atol=1e-9, err_msg=name)


class Run:
    """The command under way, and the processes that it starts."""

    def __init__(self, folder, *flags, num_replicas=2):
        flags = [f"--virtual_gpus={num_replicas}", "--isolation=process", f"--output_dir={folder}", *flags]
        self.folder, self.num_replicas = folder, num_replicas
        command = [sys.executable, str(REPOSITORY / "train/main.py"), *flags]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def workers(self):
        """Its processes, by their numbers."""
        found = {}
        for child in psutil.Process(self.process.pid).children():
            start = json.loads(child.cmdline()[-1])
            found[start["arguments"]["index"]] = child.pid
        return found

    def wait_for_workers(self):
        wait_until(lambda: len(self.workers()) == self.num_replicas)
        return self.workers()

    def wait_for_training(self):
        """Returns the process ids, in order, when a checkpoint is there."""
        wait_until(lambda: checkpoints_of(self.folder) or self.process.poll() is not None)
        return [pid for _, pid in sorted(self.workers().items())]

    def end(self):
        """Waits for the end; returns exit code, standard output and standard error."""
        output, error = self.process.communicate(timeout=60)
        return self.process.returncode, output, error


@pytest.fixture
def start(tmp_path):
    runs = []

    def start_run(*flags, **options):
        runs.append(Run(tmp_path / "run", *flags, **options))
        return runs[-1]

    yield start_run
    for run in runs:
        run.process.kill()


class TestTraining:
    def test_computes_what_logical_devices_compute_within_its_limits(self, tmp_path):
        (tmp_path / "recipe.py").write_text(FLOAT64)
        flags = ["--virtual_gpus=2", f"--config={tmp_path / 'recipe.py'}", "--steps=31", "--verify=off"]
        flags += ["--memory_limit=200", "--save_every=20"]
        isolated = run_main(*flags, "--isolation=process", f"--output_dir={tmp_path / 'process'}")
        assert isolated.returncode == 0, isolated.stderr
        assert isolated.stderr == ""
        logical = run_main(*flags, f"--output_dir={tmp_path / 'logical'}")
        assert logical.returncode == 0, logical.stderr

        assert checkpoints_of(tmp_path / "process") == ["ckpt-20.index", "ckpt-31.index"]
        for step in (20, 31):
            assert_same_state(tmp_path / "process", tmp_path / "logical", step)
        report, expected = report_of(tmp_path / "process"), report_of(tmp_path / "logical")
        assert report.keys() == expected.keys()
        for name in ("steps", "epochs", "final_loss", "test_loss", "test_accuracy"):
            assert report["training"][name] == pytest.approx(expected["training"][name], rel=1e-9), name
        assert report["training"]["examples_per_second"] > 0
        assert report["ok"] is True

        assert report["devices"]["replicas"] == 2
        assert report["devices"]["memory_limit_mib"] == report["memory"]["limit_mib"] == 200
        assert "each replica's own process" in report["devices"]["limit_enforced_by"]
        assert [replica["device"] for replica in report["memory"]["replicas"]] == report["devices"]["names"]
        for replica in report["memory"]["replicas"]:
            assert 1 < replica["training_peak_mib"] == replica["peak_mib"] <= 200
        lines = isolated.stdout.splitlines()
        assert lines[0].startswith("devices: found 0 GPUs")
        assert len([line for line in lines if line.startswith("step 31/31 ")]) == 1
        assert len([line for line in lines if line.startswith("test accuracy")]) == 1

    @pytest.mark.proof
    @pytest.mark.parametrize(("first", "second"), [("process", "logical"), ("logical", "process")])
    def test_goes_on_with_the_other_isolation_and_number_of_replicas(self, tmp_path, first, second):
        (tmp_path / "recipe.py").write_text(FLOAT64)
        flags = [f"--config={tmp_path / 'recipe.py'}", "--verify=off"]
        whole = run_main(*flags, "--steps=40", f"--output_dir={tmp_path / 'whole'}")
        assert whole.returncode == 0, whole.stderr
        flags += [f"--output_dir={tmp_path / 'parts'}"]
        result = run_main(*flags, "--steps=17", "--virtual_gpus=2", f"--isolation={first}")
        assert result.returncode == 0, result.stderr
        result = run_main(*flags, "--steps=40", "--virtual_gpus=3", f"--isolation={second}", "--resume")
        assert result.returncode == 0, result.stderr
        assert_same_state(tmp_path / "parts", tmp_path / "whole", 40)
        training, expected = report_of(tmp_path / "parts")["training"], report_of(tmp_path / "whole")["training"]
        for name in ("steps", "epochs", "final_loss", "test_loss", "test_accuracy"):
            assert training[name] == pytest.approx(expected[name], rel=1e-9), name

    @pytest.mark.proof
    def test_one_replica_and_a_run_that_is_finished(self, tmp_path):
        flags = ["--isolation=process", "--verify=off", f"--output_dir={tmp_path}", "--log_device_placement"]
        result = run_main(*flags, "--steps=5")
        assert result.returncode == 0, result.stderr
        assert "placement: CPU:0 runs" in result.stdout
        before = report_of(tmp_path)["training"]
        result = run_main(*flags, "--steps=5", "--resume", "--virtual_gpus=2")
        assert result.returncode == 0, result.stderr
        assert result.stdout.count("nothing to train: 5 of 5 steps are done") == 1
        after = report_of(tmp_path)["training"]
        assert after == {**before, "test_loss": pytest.approx(before["test_loss"], rel=1e-5)}

    @pytest.mark.proof
    def test_saves_by_the_clock_of_the_first_process(self, start):
        run = start("--verify=off", "--epochs=100000", "--save_every=1m")
        run.wait_for_training()
        run.process.send_signal(signal.SIGTERM)
        code, _, error = run.end()
        assert code == 128 + signal.SIGTERM, error
        assert len(checkpoints_of(run.folder)) == 2

    @pytest.mark.proof
    def test_proves_first_and_trains_under_the_limit_that_the_proof_names(self, tmp_path):
        flags = ["--virtual_gpus=4", "--isolation=process", "--verify=memory"]
        result = run_main(*flags, "--memory_limit=4", "--steps=2", f"--output_dir={tmp_path / 'small'}")
        assert result.returncode == 3, result.stdout + result.stderr
        assert "a limit of 4 MiB is too small" in result.stdout
        advised = report_of(tmp_path / "small")["memory"]["advised_limit_mib"]
        assert report_of(tmp_path / "small")["training"]["steps"] is None
        result = run_main(
            *flags, f"--memory_limit={advised}", "--verify=all", "--steps=60", f"--output_dir={tmp_path / 'enough'}"
        )
        assert result.returncode == 0, result.stdout + result.stderr
        assert result.stdout.splitlines()[1].startswith("OK: 4 replicas compute what one device computes")
        report = report_of(tmp_path / "enough")
        assert report["training"]["steps"] == 60
        for index, replica in enumerate(report["memory"]["replicas"]):
            assert replica["device"] == f"worker:{index}/CPU:0"
            assert 0 < replica["peak_mib"] <= advised
            assert 0 < replica["training_peak_mib"] <= advised


class TestFailure:
    """One message, the right code, and no process left."""

    def test_of_one_replica_to_stay_within_the_limit_names_it(self, tmp_path, start):
        (tmp_path / "recipe.py").write_text(TAKES_MEMORY)
        flags = ["--memory_limit=100", "--verify=off", "--steps=5", f"--config={tmp_path / 'recipe.py'}"]
        run = start(*flags)
        workers = run.wait_for_workers()
        code, _, error = run.end()
        assert code == 3, error
        assert error.startswith("main.py: replica 1 ran out of memory under its limit of 100 MiB in training: OOM")
        assert len(error.splitlines()) == 1
        assert "--memory_limit" in error
        assert not [pid for pid in workers.values() if is_running(pid)]
        report = report_of(run.folder)
        assert report["ok"] is False
        assert report["notes"] == [error.removeprefix("main.py: ").strip()]

    @pytest.mark.proof
    def test_without_the_limit_the_same_program_trains(self, tmp_path):
        (tmp_path / "recipe.py").write_text(TAKES_MEMORY)
        flags = ["--virtual_gpus=2", "--memory_limit=1000", "--verify=off", "--steps=2", "--isolation=process"]
        result = run_main(*flags, f"--config={tmp_path / 'recipe.py'}", f"--output_dir={tmp_path / 'run'}")
        assert result.returncode == 0, result.stderr
        first, second = (replica["peak_mib"] for replica in report_of(tmp_path / "run")["memory"]["replicas"])
        assert first < 100
        assert second > 800

    @pytest.mark.proof
    @pytest.mark.parametrize(("limit", "words"), [(["--memory_limit=100"], "under its limit of 100 MiB"), ([], "")])
    def test_by_a_crash_is_told_in_one_message(self, tmp_path, limit, words):
        (tmp_path / "recipe.py").write_text(CRASHES)
        flags = ["--virtual_gpus=2", *limit, "--verify=off", "--steps=5", "--isolation=process"]
        result = run_main(*flags, f"--config={tmp_path / 'recipe.py'}", f"--output_dir={tmp_path / 'run'}")
        assert_refused(result, 3, "replica 1 died of SIGSEGV in training", words)

    @pytest.mark.proof
    def test_that_all_replicas_see_is_told_once(self, tmp_path):
        flags = ["--virtual_gpus=2", "--isolation=process", "--verify=off"]
        result = run_main(*flags, "--steps=40", "--learning_rate=1e30", f"--output_dir={tmp_path / 'nan'}")
        assert_refused(result, 2, "NaN or Inf in", "on replica 1", "--learning_rate")
        assert result.stderr.count("NaN or Inf") == 1
        (tmp_path / "broken.py").write_text(FLOAT64.replace("digits.get_config()", "None"))
        result = run_main(*flags, f"--config={tmp_path / 'broken.py'}", f"--output_dir={tmp_path / 'broken'}")
        assert_refused(result, 1, "--config=")
        assert not (tmp_path / "broken").exists()
        (tmp_path / "fails.py").write_text(ON_REPLICA_1.replace("keras.layers.Flatten()", "{}['width']") % "0.0")
        result = run_main(*flags, f"--config={tmp_path / 'fails.py'}", f"--output_dir={tmp_path / 'fails'}")
        assert_refused(result, 1, "--config=", "KeyError: 'width'")
        assert result.stderr.count("KeyError") == 1
        assert not (tmp_path / "fails").exists()

    @pytest.mark.proof
    @pytest.mark.parametrize("killed", [0, 1])
    def test_by_kill_of_one_replica_ends_all(self, start, killed):
        run = start("--verify=off", "--epochs=100000", "--save_every=5")
        workers = run.wait_for_training()
        psutil.Process(workers[killed]).kill()
        code, _, error = run.end()
        assert code == 3
        assert error.startswith(f"main.py: replica {killed} died of SIGKILL in training")
        assert len(error.splitlines()) == 1
        assert not [pid for pid in workers if is_running(pid)]
        assert report_of(run.folder)["ok"] is False

    @pytest.mark.proof
    def test_of_one_replica_to_answer_ends_all(self, start):
        run = start("--verify=off", "--epochs=100000", "--save_every=5")
        workers = run.wait_for_training()
        psutil.Process(workers[1]).suspend()
        code, _, error = run.end()
        assert code == 3
        assert error.startswith("main.py: replica 1 does not answer any more")
        assert not [pid for pid in workers if is_running(pid)]

    @pytest.mark.proof
    @pytest.mark.parametrize("flags", [["--verify=off", "--epochs=100000", "--save_every=5"], ["--verify=gradients"]])
    def test_of_the_parent_leaves_no_process(self, start, flags):
        run = start(*flags)
        if "--verify=off" in flags:
            workers = run.wait_for_training()
        else:
            wait_until(lambda: run.workers())
            workers = list(run.workers().values())
        run.process.kill()
        wait_until(lambda: not any(is_running(pid) for pid in workers), timeout=20)

    @pytest.mark.proof
    def test_a_limit_that_the_machine_does_not_have(self, tmp_path):
        flags = ["--virtual_gpus=2", "--isolation=process", f"--output_dir={tmp_path}"]
        assert_refused(run_main(*flags, "--memory_limit=10000000"), 3, "2 x 10000000 MiB", "ask for at most")


class TestStop:
    @pytest.mark.proof
    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    def test_saves_with_all_and_ends_all(self, tmp_path, start, number):
        (tmp_path / "recipe.py").write_text(KEEPS_A_SUM)
        run = start(f"--config={tmp_path / 'recipe.py'}", "--verify=off", "--epochs=100000", "--save_every=7")
        workers = run.wait_for_training()
        run.process.send_signal(number)
        code, _, error = run.end()
        assert code == 128 + number, error
        name = signal.Signals(number).name
        expected = f"\n{name}: finishing this step; once more to leave at once\nmain.py: stopped by {name}\n"
        assert error == expected
        report = report_of(run.folder)
        assert report["notes"] == [f"stopped by {name}"]
        steps = report["training"]["steps"]
        assert f"ckpt-{steps}.index" in checkpoints_of(run.folder)
        (examples,) = [value for name, value in weights_of(run.folder, steps).items() if "/sum/" in name]
        assert examples == 1437 * (steps // 23) + 64 * (steps % 23)
        assert report["training"]["final_loss"] > 0
        assert not [pid for pid in workers if is_running(pid)]

    @pytest.mark.proof
    @pytest.mark.parametrize("told", [0, 1])
    def test_by_a_signal_to_one_replica(self, start, told):
        """As a scheduler sends it to every process of a job; TensorFlow's strategy would swallow it."""
        run = start("--verify=off", "--epochs=100000", "--save_every=7")
        workers = run.wait_for_training()
        psutil.Process(workers[told]).terminate()
        code, _, error = run.end()
        assert code == 128 + signal.SIGTERM, error
        assert error.endswith("main.py: stopped by SIGTERM\n")
        assert f"ckpt-{report_of(run.folder)['training']['steps']}.index" in checkpoints_of(run.folder)

    @pytest.mark.proof
    def test_before_training_and_in_the_proof(self, start):
        for flags in (["--verify=off"], ["--verify=gradients"]):
            run = start(*flags)
            wait_until(lambda run=run: run.workers())
            time.sleep(1.0)
            run.process.send_signal(signal.SIGTERM)
            code, _, error = run.end()
            assert code == 128 + signal.SIGTERM, error
            assert error == "main.py: stopped by SIGTERM\n"

    @pytest.mark.proof
    def test_by_a_signal_to_one_replica_while_it_builds(self, tmp_path):
        (tmp_path / "recipe.py").write_text(STOPS_WHILE_IT_BUILDS)
        flags = ["--virtual_gpus=2", "--isolation=process", "--verify=off", "--steps=3"]
        result = run_main(*flags, f"--config={tmp_path / 'recipe.py'}", f"--output_dir={tmp_path / 'run'}")
        assert_refused(result, 128 + signal.SIGTERM, "main.py: stopped by SIGTERM")

    @pytest.mark.proof
    def test_twice_leaves_at_once(self, tmp_path, start):
        (tmp_path / "recipe.py").write_text(NEVER_RETURNS)
        run = start("--verify=off", f"--config={tmp_path / 'recipe.py'}")
        workers = run.wait_for_workers()
        wait_until(lambda: (tmp_path / "recipe.py.started").exists())
        run.process.send_signal(signal.SIGINT)
        time.sleep(1.0)
        run.process.send_signal(signal.SIGINT)
        code, _, _ = run.end()
        assert code == 128 + signal.SIGINT
        assert not [pid for pid in workers.values() if is_running(pid)]

    @pytest.mark.proof
    def test_by_output_that_nobody_reads_any_more(self, tmp_path):
        flags = f"--virtual_gpus=2 --isolation=process --verify=off --epochs=100000 --output_dir={tmp_path}"
        program = f"{sys.executable} {REPOSITORY / 'train/main.py'} {flags}"
        result = subprocess.run(
            ["bash", "-c", f"{program} | head -1; exit ${{PIPESTATUS[0]}}"],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert result.returncode == 128 + signal.SIGPIPE, result.stderr
        assert result.stderr == "main.py: stopped, since standard output was closed\n"
        assert f"ckpt-{report_of(tmp_path)['training']['steps']}.index" in checkpoints_of(tmp_path)
