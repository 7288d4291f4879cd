"""The real command, in processes of its own."""

import json
import signal
import subprocess
import sys
import time

import pytest

from tests.process import (
    REPOSITORY,
    assert_refused,
    run_main_until_output_is_closed,
    run_script,
    running,
    wait_until,
)
from tests.process import run_main as run_verified_main

REPORT_KEYS = {
    "schema_version", "ok", "environment", "devices", "checks", "causes", "explanations", "smallest_failure",
    "accepted", "notes", "variables", "shards", "memory", "training", "transport", "setup",
}  # fmt: skip


def run_main(*flags, **options):
    """Without verification, which test_verification.py is about."""
    return run_verified_main("--verify=off", *flags, **options)


def report_of(folder):
    return json.loads((folder / "report.json").read_text())


def checkpoints_of(folder):
    return sorted(path.name for path in folder.rglob("ckpt-*.index"))


# Its model sends a signal to its own process when it is evaluated after training.
STOPS_ITSELF = """
import os, pathlib, signal
import keras
from configs.recipe import Recipe

class Layer(keras.layers.Layer):
    def call(self, inputs, training=None):
        if training is False and list(pathlib.Path(os.environ["RUN"]).glob("checkpoints/ckpt-*.index")):
            os.kill(os.getpid(), signal.SIGTERM)
        return inputs

def build(shape, classes):
    return keras.Sequential([keras.Input(shape), keras.layers.Flatten(), Layer(), keras.layers.Dense(classes)])

def get_config():
    return Recipe(build_model=build, build_optimizer=keras.optimizers.Adam)
"""


class TestTraining:
    @pytest.mark.parametrize("num_replicas", [1, *(pytest.param(more, marks=pytest.mark.proof) for more in (2, 3, 4))])
    def test_trains_on_so_many_replicas(self, tmp_path, num_replicas):
        flags = [
            f"--virtual_gpus={num_replicas}",
            "--memory_limit=1024",
            "--steps=25",
            f"--output_dir={tmp_path}",
        ]
        result = run_script("train/main.py", "--verify=off", *flags)
        assert result.returncode == 0, result.stderr
        assert result.stderr == ""
        report = report_of(tmp_path)
        assert set(report) == REPORT_KEYS
        assert report["ok"] is True
        assert report["devices"]["replicas"] == num_replicas
        assert report["devices"]["names"] == [f"CPU:{index}" for index in range(num_replicas)]
        assert report["devices"]["memory_limit_mib"] == 1024
        assert report["training"]["steps"] == 25
        assert report["training"]["examples_per_second"] > 0
        assert 0 < report["training"]["test_accuracy"] <= 1
        assert checkpoints_of(tmp_path) == ["ckpt-25.index"]
        assert "test accuracy" in result.stdout
        (timeline,) = report["memory"]["timelines"]
        assert [phase["name"] for phase in timeline["phases"]][-2:] == ["training", "evaluation"]
        assert len(timeline["seconds"]) == len(timeline["process_mib"]) > 1
        assert max(timeline["process_mib"]) > 100
        assert report["training"]["accuracies"]["steps"] == report["training"]["losses"]["steps"]
        assert result.stdout.splitlines()[-1].endswith("report.json, report.html beside it")
        assert "nothing was verified" in (tmp_path / "report.html").read_text()

    @pytest.mark.proof
    def test_a_resumed_run_ends_with_the_weights_of_an_uninterrupted_one(self, tmp_path):
        flags = ["--virtual_gpus=2", "--deterministic"]
        assert run_main(*flags, "--steps=30", f"--output_dir={tmp_path / 'whole'}").returncode == 0
        assert run_main(*flags, "--steps=13", f"--output_dir={tmp_path / 'parts'}").returncode == 0
        result = run_main(*flags, "--steps=30", f"--output_dir={tmp_path / 'parts'}", "--resume")
        assert result.returncode == 0, result.stderr
        whole, parts = report_of(tmp_path / "whole"), report_of(tmp_path / "parts")
        assert parts["training"]["steps"] == 30
        for name in ("weights_sha256", "final_loss", "test_loss", "test_accuracy", "epochs"):
            assert parts["training"][name] == whole["training"][name], name

        assert None not in parts["training"].values()
        for steps in (7, 0):  # of a finished run no result may be lost
            result = run_main(*flags, f"--steps={steps}", f"--output_dir={tmp_path / 'parts'}", "--resume")
            assert result.returncode == 0, result.stderr
            assert ("nothing to train: 30 of 7 steps are done" in result.stdout) == (steps > 0)
            assert report_of(tmp_path / "parts")["training"] == parts["training"]

    @pytest.mark.proof
    def test_only_what_does_not_change_the_examples_may_change_on_resume(self, tmp_path):
        assert run_main("--steps=3", f"--output_dir={tmp_path}").returncode == 0
        before = report_of(tmp_path)
        flags = [f"--output_dir={tmp_path}", "--resume", "--steps=5"]
        result = run_main(*flags, "--global_batch_size=32", "--seed=7", "--dataset=mnist")
        assert_refused(result, 1, "--global_batch_size is 32 now, and the run began with 64", "--seed is 7", "mnist")
        assert report_of(tmp_path) == before
        result = run_main(*flags, "--virtual_gpus=3", "--memory_limit=900", "--learning_rate=0.01", "--epochs=2")
        assert result.returncode == 0, result.stderr
        assert report_of(tmp_path)["training"]["steps"] == 5

    def test_nan_stops_with_code_2_and_keeps_the_last_good_checkpoint(self, tmp_path):
        assert run_main("--virtual_gpus=2", "--steps=4", f"--output_dir={tmp_path}").returncode == 0
        result = run_main(
            "--virtual_gpus=2", "--steps=40", "--learning_rate=1e30", f"--output_dir={tmp_path}", "--resume"
        )
        assert_refused(result, 2, "NaN or Inf in", "on replica", "--learning_rate")
        report = report_of(tmp_path)
        assert report["ok"] is False
        assert report["training"]["losses"]["steps"] == [1, 2, 3, 4, 5]  # those before the NaN, of both runs
        assert "ckpt-4.index" in checkpoints_of(tmp_path)

    def test_a_signal_saves_and_stops(self, tmp_path):
        flags = ["--verify=off", "--epochs=1000", "--save_every=20", f"--output_dir={tmp_path}"]
        with running(sys.executable, str(REPOSITORY / "train/main.py"), *flags) as process:
            wait_until(lambda: checkpoints_of(tmp_path) or process.poll() is not None)
            process.send_signal(signal.SIGTERM)
            _, error = process.communicate(timeout=60)
        assert process.returncode == 128 + signal.SIGTERM, error
        assert "Traceback" not in error
        report = report_of(tmp_path)
        assert report["ok"] is False
        assert f"ckpt-{report['training']['steps']}.index" in checkpoints_of(tmp_path)

    @pytest.mark.proof
    def test_a_signal_in_the_final_evaluation_keeps_what_training_gave(self, tmp_path):
        (tmp_path / "recipe.py").write_text(STOPS_ITSELF)
        flags = [f"--config={tmp_path / 'recipe.py'}", "--steps=3", f"--output_dir={tmp_path / 'run'}"]
        result = run_main(*flags, RUN=str(tmp_path / "run"))
        assert result.returncode == 128 + signal.SIGTERM, result.stderr
        assert result.stderr == "main.py: stopped by SIGTERM\n"
        report = report_of(tmp_path / "run")
        assert report["ok"] is False
        assert report["notes"] == ["stopped by SIGTERM"]
        assert report["training"]["steps"] == 3
        assert report["training"]["final_loss"] > 0
        assert report["training"]["test_accuracy"] is None

    @pytest.mark.proof
    def test_output_that_nobody_reads_any_more_stops_with_the_state_saved(self, tmp_path):
        result = run_main_until_output_is_closed("--verify=off", "--epochs=1000", f"--output_dir={tmp_path}")
        assert result.returncode == 128 + signal.SIGPIPE, result.stderr
        assert result.stdout.startswith("devices: ")
        assert result.stderr == "main.py: stopped, since standard output was closed\n"
        report = report_of(tmp_path)
        assert report["ok"] is False
        assert f"ckpt-{report['training']['steps']}.index" in checkpoints_of(tmp_path)

    def test_placement_is_summarised(self, tmp_path):
        result = run_main("--virtual_gpus=2", "--steps=1", f"--output_dir={tmp_path}", "--log_device_placement")
        lines = [line for line in result.stdout.splitlines() if line.startswith("placement:")]
        assert [line.split()[1] for line in lines] == ["CPU:0", "CPU:1"]
        assert all("operations of one step" in line for line in lines)

    @pytest.mark.proof
    def test_works_from_another_directory(self, tmp_path):
        result = run_main("--steps=1", cwd=tmp_path)
        assert result.returncode == 0, result.stderr
        (run,) = (tmp_path / "runs").iterdir()
        assert report_of(run)["ok"] is True


class TestRefusals:
    """What test_bad_inputs.py cannot ask: of another network, home or earlier run."""

    def test_data_that_cannot_be_reached(self, tmp_path):
        """A proxy that does not exist stands for a machine without a network."""
        start = time.monotonic()
        result = run_main(
            "--dataset=mnist",
            f"--data_dir={tmp_path}",
            f"--output_dir={tmp_path / 'run'}",
            https_proxy="http://127.0.0.1:9",
        )
        assert_refused(result, 3, "mnist", "storage.googleapis.com", "--data_dir")
        assert time.monotonic() - start < 60  # TFDS alone tries for 204 s

    def test_a_home_that_cannot_be_written(self, tmp_path, monkeypatch):
        (tmp_path / "home").touch()  # a file, so that not even root can create a folder in it
        monkeypatch.delenv("TFDS_DATA_DIR", raising=False)
        result = run_main("--steps=1", f"--output_dir={tmp_path / 'run'}", HOME=str(tmp_path / "home"))
        assert_refused(result, 3, "--data_dir")

    def test_another_runs_folder_is_not_overwritten(self, tmp_path):
        assert run_main("--steps=2", f"--output_dir={tmp_path}").returncode == 0
        before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
        assert_refused(run_main("--steps=2", f"--output_dir={tmp_path}"), 1, "holds another run of 2 steps")
        assert before == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}


BROKEN = """
from configs.recipe import Recipe
import keras
def build(shape, classes):
    %s
def get_config():
    return Recipe(build_model=build, build_optimizer=keras.optimizers.Adam)
"""


class TestBrokenRecipes:
    @pytest.mark.parametrize(
        ("body", "words"),
        [
            ("raise KeyError('width')", ["KeyError", "width"]),
            (
                "return keras.Sequential([keras.Input(shape), keras.layers.Flatten(), keras.layers.Dense(3)])",
                ["(None, 10)"],
            ),
        ],
    )
    def test_are_told_in_one_message(self, tmp_path, body, words):
        (tmp_path / "broken.py").write_text(BROKEN % body)
        flags = [f"--config={tmp_path / 'broken.py'}", f"--output_dir={tmp_path / 'run'}", "--steps=2"]
        result = run_main(*flags, cwd=tmp_path)
        assert_refused(result, 1, "--config=", *words)
        assert not (tmp_path / "run").exists()


class TestHarm:
    def test_a_full_disk_is_the_machines_fault(self, tmp_path):
        program = str(REPOSITORY / "train/main.py")
        command = [
            "bash",
            "-c",
            f"ulimit -f 600; {sys.executable} {program} --verify=off --steps=2 --output_dir={tmp_path}",
        ]
        result = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        assert_refused(result, 3, "checkpoint 2 cannot be written")
        assert report_of(tmp_path)["ok"] is False


class TestHelp:
    def test_lists_the_flags_without_loading_tensorflow(self):
        result = run_script("train/main.py", "--help", PYTHONPROFILEIMPORTTIME="1")
        assert "--virtual_gpus" in result.stdout
        assert "| tensorflow\n" not in result.stderr.replace("|   ", "| ")
        assert "absl.flags" in result.stderr
