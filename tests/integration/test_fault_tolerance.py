"""Runs that are cut off, and the disk under them, by the real command."""

import json
import os
import resource
import shutil
import signal

import numpy as np
import psutil
import pytest
import tensorflow as tf

from tests import kill_test
from tests.process import assert_refused, run_script_in_fork, start_script_in_fork, wait_until

# Dropout, and moving statistics of each replica, in float64, so that other numbers of replicas differ by rounding only.
RECIPE = """
import keras
from configs.recipe import Recipe

def build(shape, classes):
    return keras.Sequential([
        keras.Input(shape),
        keras.layers.Flatten(),
        keras.layers.Dense(16, activation="relu"),
        %s
        keras.layers.Dense(classes),
    ])

def get_config():
    return Recipe(build_model=build, build_optimizer=keras.optimizers.Adam, dtype_policy="float64")
"""
# Root may write to a read-only folder, by two capabilities; without them it is a user like any other.
AS_ANY_USER = """
import ctypes
libc, header, sets = ctypes.CDLL(None), (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
assert libc.capget(header, sets) == 0
sets[0] &= ~0b110  # effective: CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
assert libc.capset(header, sets) == 0
"""
OWN_STATE = "keras.layers.BatchNormalization(), keras.layers.Dropout(0.3),"


@pytest.fixture
def main(tmp_path):
    """Runs the command on a small recipe; with `own_state` each replica has some of its own."""

    def run(folder, *flags, num_replicas=2, own_state=True):
        recipe = tmp_path / f"recipe{own_state}.py"
        recipe.write_text(RECIPE % (OWN_STATE if own_state else ""))
        flags = [f"--config={recipe}", f"--output_dir={folder}", f"--virtual_gpus={num_replicas}", *flags]
        return run_script_in_fork("train/main.py", "--verify=off", "--deterministic", *flags, cwd=tmp_path)

    return run


@pytest.fixture
def start(tmp_path):
    """Starts a long run of the command; returns the process, its folder and the file with its output."""
    processes = []

    def start_run(*flags, before=""):
        folder, output = tmp_path / "run", tmp_path / "output"
        flags = ["--verify=off", "--epochs=100000", "--save_every=2", f"--output_dir={folder}", *flags]
        processes.append(start_script_in_fork("train/main.py", *flags, cwd=tmp_path, output=output, before=before))
        wait_until(lambda: len(list(folder.glob("checkpoints/*.index"))) >= 2)
        return processes[-1], folder, output

    yield start_run
    for process in processes:
        process.kill()


def values_of(folder, step):
    reader = tf.train.load_checkpoint(str(folder / f"checkpoints/ckpt-{step}"))
    types = reader.get_variable_to_dtype_map()
    names = [name for name in types if types[name] != tf.string and "save_counter" not in name]
    return {name: reader.get_tensor(name) for name in names}


def report_of(folder):
    return json.loads((folder / "report.json").read_text())


def resume(folder, tmp_path, *flags):
    return run_script_in_fork(
        "train/main.py", "--verify=off", "--resume", f"--output_dir={folder}", *flags, cwd=tmp_path
    )


class TestResume:
    @pytest.mark.proof
    def test_goes_on_to_the_same_bytes_with_dropout_and_statistics_of_each_replica(self, main, tmp_path):
        assert main(tmp_path / "whole", "--steps=30").returncode == 0
        for steps in (7, 23, 30):  # the second time across the end of an epoch
            again = ["--resume"] if steps > 7 else []
            result = main(tmp_path / "parts", f"--steps={steps}", *again)
            assert result.returncode == 0, result.stderr
            assert result.stderr == ""
        whole, parts = values_of(tmp_path / "whole", 30), values_of(tmp_path / "parts", 30)
        assert whole.keys() == parts.keys()
        assert sum(name.startswith("replicas/") for name in whole) == 3
        assert [name for name in whole if whole[name].tobytes() != parts[name].tobytes()] == []
        assert report_of(tmp_path / "parts")["training"]["weights_sha256"] is not None
        for name in ("weights_sha256", "final_loss", "test_loss"):
            assert report_of(tmp_path / "parts")["training"][name] == report_of(tmp_path / "whole")["training"][name]

    @pytest.mark.proof
    def test_goes_on_with_other_numbers_of_replicas_to_rounding(self, main, tmp_path):
        assert main(tmp_path / "whole", "--steps=30", num_replicas=1, own_state=False).returncode == 0
        for steps, num_replicas in ((7, 2), (15, 3), (30, 1)):
            again = ["--resume"] if steps > 7 else []
            flags = [f"--steps={steps}", *again]
            assert main(tmp_path / "parts", *flags, num_replicas=num_replicas, own_state=False).returncode == 0
        whole, parts = values_of(tmp_path / "whole", 30), values_of(tmp_path / "parts", 30)
        for name, value in whole.items():
            np.testing.assert_allclose(parts[name], value, rtol=1e-9, atol=1e-9, err_msg=name)

    def test_of_another_model_names_the_field(self, main, tmp_path):
        assert main(tmp_path / "run", "--steps=3").returncode == 0
        before = {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()}
        result = main(tmp_path / "run", "--steps=5", "--resume", own_state=False)
        assert_refused(result, 1, "layer 3 is Dense now, and the run began with BatchNormalization")
        assert before == {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()}

    @pytest.mark.proof
    def test_removes_what_killed_saves_left(self, main, tmp_path):
        assert main(tmp_path / "run", "--steps=3").returncode == 0
        checkpoints = tmp_path / "run/checkpoints"
        (checkpoints / "ckpt-5_temp").mkdir()
        (checkpoints / "ckpt-5_temp/part-00000-of-00001.index.tempstate7").touch()
        (checkpoints / "ckpt-4.data-00000-of-00001").touch()
        (checkpoints / "checkpoint").write_bytes(b"\xff garbage")
        assert main(tmp_path / "run", "--steps=5", "--resume").returncode == 0
        left = sorted(path.name for path in checkpoints.iterdir())
        whole = [f"ckpt-{step}.{end}" for step in (3, 5) for end in ("data-00000-of-00001", "index")]
        assert left == ["checkpoint", *whole, "fingerprint.json"]


class TestKill:
    def test_goes_on_to_the_same_bytes(self, tmp_path):
        """The short form of ``python -m tests.kill_test``."""
        result = kill_test.run(tmp_path, 2, seed=3)
        assert result.failures == []
        assert result.kills == 2

    @pytest.mark.proof
    @pytest.mark.timeout(3600)
    def test_a_hundred_times(self, tmp_path):
        result = kill_test.run(tmp_path, 100)
        assert result.failures == []
        assert result.kills == 100
        assert result.in_saves >= 20


class TestSignal:
    def test_twice_leaves_at_once(self, tmp_path, start):
        process, folder, output = start()
        os.kill(process.pid, signal.SIGSTOP)  # so that it gets both before it has finished a step
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCONT):
            os.kill(process.pid, number)
        process.join(60)
        assert process.exitcode in (128 + signal.SIGTERM, 128 + signal.SIGINT)
        assert "Traceback" not in output.read_text()
        assert resume(folder, tmp_path, "--steps=1").returncode == 0


class TestDisk:
    @pytest.mark.proof
    def test_that_fills_up_during_a_save_ends_the_run_and_keeps_what_was_saved(self, tmp_path, start):
        process, folder, output = start()
        # No file can grow any further than this: TensorFlow meets that as it meets a full disk.
        psutil.Process(process.pid).rlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
        process.join(120)
        assert process.exitcode == 3, output.read_text()
        assert "cannot be written to" in output.read_text()
        assert "Traceback" not in output.read_text()
        steps = report_of(folder)["training"]["steps"]
        assert report_of(folder)["ok"] is False
        assert not list(folder.glob("checkpoints/*_temp"))
        result = resume(folder, tmp_path, "--steps=1")
        assert result.returncode == 0, result.stderr
        assert "damaged" not in result.stderr
        assert steps > 0  # what was trained until then is told

    def test_whose_folder_is_removed_ends_the_run(self, start):
        process, folder, output = start()
        shutil.rmtree(folder / "checkpoints")
        process.join(120)
        assert process.exitcode == 3, output.read_text()
        assert "removed during the run" in output.read_text() or "cannot be written" in output.read_text()
        assert not (folder / "checkpoints").exists()

    def test_that_becomes_read_only_ends_the_run_and_keeps_what_was_saved(self, tmp_path, start):
        process, folder, output = start(before=AS_ANY_USER)
        (folder / "checkpoints").chmod(0o555)
        process.join(120)
        (folder / "checkpoints").chmod(0o755)
        assert process.exitcode == 3, output.read_text()
        assert resume(folder, tmp_path, "--steps=1").returncode == 0
