"""`train/verify.py` on a package that lies outside of this repository, in processes of its own."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys

import pytest

from tests.process import REPOSITORY, assert_refused, run_script, run_script_in_fork

# Named like folders and files of this repository: the user's own are meant.
MODELS = """
import os
import signal
import sys
import keras
import tensorflow as tf
from distribute import Program

def compiled(loss=None):
    assert "configs" not in sys.modules and sys.modules["models"].__file__ == __file__.replace("net", "__init__")
    model = keras.Sequential([keras.Input([6]), keras.layers.Dense(8, activation="relu"), keras.layers.Dense(1)])
    model.compile("adam", loss or keras.losses.MeanSquaredError())
    return model

def scalar_loss():
    return compiled(lambda labels, outputs: tf.reduce_mean(tf.square(labels - outputs)))

def batch_norm():
    layers = [keras.Input([6]), keras.layers.Dense(8), keras.layers.BatchNormalization(), keras.layers.Dense(1)]
    model = keras.Sequential(layers)
    model.compile("sgd", keras.losses.MeanSquaredError())
    return model

def program(normalise=lambda value: value / tf.distribute.get_replica_context().num_replicas_in_sync):
    model = keras.Sequential([keras.Input([6]), keras.layers.Dense(1)])
    optimizer = keras.optimizers.SGD(0.1)

    def train_step(batch):
        features, labels = batch
        with tf.GradientTape() as tape:
            loss = normalise(tf.reduce_mean(tf.square(model(features) - labels)))
        optimizer.apply_gradients(zip(tape.gradient(loss, model.trainable_variables), model.trainable_variables))
        return {"loss": loss}

    return Program(train_step, model=model, optimizer=optimizer)

def program_without_its_normaliser():
    return program(lambda value: value)

def wide():
    model = keras.Sequential([keras.Input([6]), keras.layers.Dense(2**18), keras.layers.Dense(1)])
    model.compile("sgd", keras.losses.MeanSquaredError())
    return model

def needs_arguments(width, depth):
    return compiled()

def fails_in_build():
    return {}["width"]

def fails_in_step():
    built = program()
    def train_step(batch):
        return {"loss": batch[2]}  # there is no third part
    return Program(train_step, model=built.model, optimizer=built.optimizer)

def fails_in_graph():
    built = program()
    def train_step(batch):
        tf.debugging.assert_less(batch[0], -100.0)  # never holds
        return built.train_step(batch)
    return Program(train_step, model=built.model, optimizer=built.optimizer)

def stops_itself():
    built = program()
    def signal_from_a_callback():
        os.kill(os.getpid(), signal.SIGTERM)
    def train_step(batch):
        tf.numpy_function(signal_from_a_callback, [], [])
        return built.train_step(batch)
    return Program(train_step, model=built.model, optimizer=built.optimizer)

def more_than_there_is():
    return tf.random.uniform([2**48])

def takes_all_memory():
    raise MemoryError("no memory is left")
"""

DATA = """
import numpy as np
import tensorflow as tf

random = np.random.default_rng(0)
rows = (random.normal(size=[32, 6]).astype("float32"), random.normal(size=[32, 1]).astype("float32"))
batches = [rows]

def dataset():
    return tf.data.Dataset.from_tensor_slices(rows).batch(16)

def read(context, shard=True):
    examples = tf.data.Dataset.from_tensor_slices(rows)
    if shard:
        examples = examples.shard(context.num_input_pipelines, context.input_pipeline_id)
    return examples.batch(16 // context.num_replicas_in_sync)

def read_without_shard(context):
    return read(context, shard=False)

number = 3
"""


@pytest.fixture
def project(tmp_path):
    """A user's folder: a package ``models``, ``data.py``, and two modules that cannot be imported."""
    (tmp_path / "models").mkdir()
    (tmp_path / "models/__init__.py").touch()
    (tmp_path / "models/net.py").write_text(MODELS)
    (tmp_path / "data.py").write_text(DATA)
    (tmp_path / "step.py").write_text("import keras\n\nlayers = keras.layers.Dens(3)\n")
    (tmp_path / "job.py").write_text("import sys\n\nsys.exit('usage: job.py DATA')\n")
    return tmp_path


def verify_in_fork(project, target, data, *flags):
    flags = [f"--target={target}", f"--data={data}", "--output_dir=out", *flags]
    return run_script_in_fork("train/verify.py", *flags, cwd=project)


def report_of(project):
    return json.loads((project / "out/report.json").read_text())


def status_of(report):
    return {check["name"]: check["status"] for check in report["checks"]}


class TestVerdicts:
    @pytest.mark.proof
    def test_a_compiled_model_and_a_list_memory_included(self, project):
        flags = ["--memory_limit=64", "--check_steps=3", "--virtual_gpus=4", "--output_dir=out"]
        result = run_script(
            "train/verify.py", "--target=models.net:compiled", "--data=data:batches", *flags, cwd=project
        )
        assert result.returncode == 0, result.stdout + result.stderr
        assert result.stderr == ""
        first, second = result.stdout.splitlines()[:2]
        assert first.startswith("devices: ")
        assert second.startswith("OK: 4 replicas compute what one device computes and stay within their memory")
        report = report_of(project)
        assert report["ok"] is True
        assert set(report["training"].values()) == {None}
        assert "memory check" in report["devices"]["limit_enforced_by"]
        assert [replica["peak_mib"] > 0 for replica in report["memory"]["replicas"]] == [True] * 4
        statuses = status_of(report)
        for name in ("gradient_equivalence/float64", "update_equivalence/float64/steps_3", "memory_bounds/limit"):
            assert statuses[name] == "passed", name

    def test_a_program_and_a_data_set(self, project):
        result = verify_in_fork(project, "models.net:program", "data:dataset", "--verify=gradients")
        assert result.returncode == 0, result.stdout + result.stderr
        assert report_of(project)["devices"]["replicas"] == 2
        assert report_of(project)["memory"]["replicas"] == []

    @pytest.mark.parametrize(
        ("build", "data", "cause"),
        [
            ("scalar_loss", "batches", "loss_summed_over_replicas"),
            ("program_without_its_normaliser", "dataset", "loss_summed_over_replicas"),
            ("compiled", "read_without_shard", "replicated_input"),
        ],
    )
    def test_mistakes_end_with_code_2_and_their_cause(self, project, build, data, cause):
        flags = ["--verify=gradients", "--noshrink"]
        result = verify_in_fork(project, f"models.net:{build}", f"data:{data}", *flags)
        assert result.returncode == 2, result.stdout + result.stderr
        assert result.stderr == ""
        assert result.stdout.splitlines()[1].startswith("FAILED: 2 replicas")
        assert report_of(project)["ok"] is False
        assert report_of(project)["causes"][0] == cause

    @pytest.mark.proof
    def test_the_smallest_case_is_run_again_by_the_command_that_is_printed(self, project):
        flags = ["--virtual_gpus=3", "--memory_limit=64", "--check_steps=2", "--noshrink", "--shrink"]
        verify_in_fork(project, "models.net:scalar_loss", "data:batches", "--verify=gradients", *flags)
        smallest = report_of(project)["smallest_failure"]
        python, script, *command = shlex.split(smallest["rerun"])
        assert (python, script) == ("python", str(REPOSITORY / "train/verify.py"))
        assert command[-3:] == ["--virtual_gpus=2", "--first_rows=2", "--verify=gradients"]
        assert "--memory_limit=64" in command
        assert "--check_steps=2" in command
        assert not [flag for flag in command if "output_dir" in flag]
        target, data, *flags = command
        result = verify_in_fork(project, target.split("=")[1], data.split("=")[1], *flags)
        assert result.returncode == 2, result.stdout + result.stderr
        assert report_of(project)["causes"][0] == "loss_summed_over_replicas"
        assert "2 replicas and 2 examples" in result.stdout

    def test_more_rows_than_the_first_batch_has_are_refused(self, project):
        flags = ["--verify=gradients", "--first_rows=33"]
        result = verify_in_fork(project, "models.net:compiled", "data:batches", *flags)
        assert_refused(result, 1, "--first_rows=33", "the first batch has 32")

    def test_an_accepted_cause_passes(self, project):
        causes = ["local_batch_statistics", "moving_statistics_not_aggregated"]
        flags = ["--verify=gradients", f"--accept={','.join(causes)}"]
        result = verify_in_fork(project, "models.net:batch_norm", "data:batches", *flags)
        assert result.returncode == 0, result.stdout + result.stderr
        assert report_of(project)["accepted"] == causes

    @pytest.mark.proof
    def test_a_limit_that_is_too_small_ends_with_one_that_works(self, project):
        flags = ["--verify=memory", "--memory_limit=20"]
        result = verify_in_fork(project, "models.net:wide", "data:batches", *flags)
        assert result.returncode == 3, result.stdout + result.stderr
        assert "a limit of 20 MiB is too small" in result.stdout
        (advice,) = re.findall(r"--memory_limit=(\d+)", " ".join(result.stdout.split()))
        assert report_of(project)["memory"]["advised_limit_mib"] == int(advice) > 20

    @pytest.mark.proof
    def test_as_a_module_with_the_users_own_input_function(self, project):
        flags = ["--target=models.net:compiled", "--data=data:read", "--output_dir=out"]
        result = subprocess.run(
            [sys.executable, "-m", "train.verify", *flags],
            cwd=project,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        assert result.returncode == 0, result.stdout + result.stderr
        assert status_of(report_of(project))["memory_bounds/reference"] == "passed"


class TestRefusals:
    """Each: one message, exit code 1, no traceback, nothing left behind."""

    @pytest.mark.parametrize(
        ("target", "data", "words"),
        [
            ("models.no:build", "data:batches", ["no module 'models.no'"]),
            ("models.net:no", "data:batches", ["models/net.py", "has no 'no'"]),
            ("models.net", "data:batches", ["package.module:name"]),
            ("data:batches", "data:batches", ["is a list, not a function"]),
            ("models.net:needs_arguments", "data:batches", ["still missing: width, depth"]),
            ("step:build", "data:batches", ["AttributeError", "Dens", "(step.py:3)"]),
            ("job:build", "data:batches", ["SystemExit: usage: job.py DATA", "(job.py:3)"]),
            ("models.net:compiled", "data:no", ["has no 'no'"]),
            ("models.net:compiled", "data:number", ["data is of type int"]),
            ("data:dataset", "data:batches", ["must return a compiled keras.Model or a Program"]),
            ("models.net:fails_in_build", "data:batches", ["KeyError: 'width'", "(models/net.py:%d)"]),
            ("models.net:fails_in_step", "data:batches", ["IndexError", "(models/net.py:%d)", "its share of a batch"]),
            ("models.net:fails_in_graph", "data:batches", ["InvalidArgumentError", "(models/net.py:%d)"]),
        ],
    )
    def test_code_that_cannot_be_checked(self, project, target, data, words):
        result = verify_in_fork(project, target, data, "--verify=gradients")
        lines = {"fails_in_build": '["width"]', "fails_in_step": "batch[2]", "fails_in_graph": "-100.0"}
        line = next((text for name, text in lines.items() if target.endswith(name)), "\n")
        assert_refused(
            result, 1, *(word.replace("%d", str(1 + MODELS[: MODELS.index(line)].count("\n"))) for word in words)
        )
        assert not (project / "out").exists()

    @pytest.mark.proof
    def test_a_step_that_fails_in_the_memory_check_alone(self, project):
        result = verify_in_fork(project, "models.net:fails_in_graph", "data:batches", "--verify=memory")
        assert_refused(result, 1, "InvalidArgumentError", "(models/net.py:")

    def test_debug_shows_the_traceback(self, project):
        result = verify_in_fork(project, "models.net:fails_in_build", "data:batches", "--debug")
        assert result.returncode == 1
        assert "Traceback" in result.stderr
        assert 'return {}["width"]' in result.stderr

    def test_running_out_of_memory_is_the_machines_fault(self, project):
        result = verify_in_fork(project, "models.net:takes_all_memory", "data:batches", "--verify=gradients")
        assert result.returncode == 3
        assert "Traceback" not in result.stderr
        for words in ("out of memory", "no memory is left", "no plan of what it needs", "smaller batch"):
            assert words in result.stderr
        assert report_of(project)["ok"] is False

    @pytest.mark.proof
    def test_what_tensorflow_says_of_it_is_kept(self, project):
        result = verify_in_fork(project, "models.net:more_than_there_is", "data:batches", "--verify=gradients")
        assert result.returncode == 3
        for words in ("out of host memory", "shape [281474976710656]", "oom_report.json"):
            assert words in result.stderr
        report = json.loads((project / "out/oom_report.json").read_text())
        assert report["allocator"]["device"] == "CPU:0"
        assert report["allocator"]["wanted_bytes"] == 4 * 2**48
        assert report["memory_policy"] == "default"

    def test_a_signal_that_a_callback_swallows_ends_the_check_all_the_same(self, project):
        result = verify_in_fork(project, "models.net:stops_itself", "data:batches", "--verify=gradients")
        assert_refused(result, 128 + signal.SIGTERM, "verify.py: stopped by SIGTERM")
        assert report_of(project)["checks"] == []

    def test_a_folder_of_a_training_run_is_not_touched(self, project):
        (project / "out/checkpoints").mkdir(parents=True)
        (project / "out/checkpoints/ckpt-7.index").touch()
        result = verify_in_fork(project, "models.net:compiled", "data:batches")
        assert_refused(result, 1, "holds another run of 7 steps", "name another folder")
