"""`train/plan.py`: the limit that a recipe needs, the batch that a limit allows, and the runs that prove it."""

import json
import re

import pytest

from tests.process import assert_refused, run_script, run_script_in_fork

USERS = """
import keras
import numpy as np

def build():
    model = keras.Sequential([keras.Input([32]), keras.layers.Dense(512, activation="relu"), keras.layers.Dense(1)])
    model.compile("adam", "mse")
    return model

def fails():
    return {}["width"]

batches = [(np.ones([16, 32], "float32"), np.ones([16, 1], "float32"))]
"""


def plan(*flags, cwd):
    return run_script("train/plan.py", *flags, cwd=cwd)


class TestRecipe:
    @pytest.mark.proof
    def test_the_planned_limit_holds_and_a_larger_one_takes_a_larger_batch(self, tmp_path):
        flags = ["--virtual_gpus=4", "--memory_limit=200", "--check", "--check_runs=2", "--output_dir=out"]
        result = plan(*flags, cwd=tmp_path)
        assert result.returncode == 0, result.stdout + result.stderr
        (limit,) = re.findall(r"^smallest limit  --memory_limit=(\d+)", result.stdout, re.MULTILINE)
        assert f"2 of 2 runs under {limit} MiB worked" in result.stdout
        (batch,) = re.findall(r"--global_batch_size=(\d+)", result.stdout)
        record = json.loads((tmp_path / "out/plan.json").read_text())
        assert record["rows"] == 16
        assert record["limit_mib"] == int(limit) < 200
        assert record["largest_rows"] * 4 == int(batch) > 64
        assert record["checks"] == ["", ""]

    @pytest.mark.proof
    def test_a_limit_that_is_too_small_is_exit_3_with_the_batch_that_fits(self, tmp_path):
        result = plan("--virtual_gpus=2", "--memory_limit=30", "--output_dir=out", cwd=tmp_path)
        assert result.returncode == 3, result.stdout + result.stderr
        (batch,) = re.findall(r"--memory_limit=30: --global_batch_size=(\d+)", result.stdout)
        assert 0 < int(batch) < 64


class TestUsersOwn:
    @pytest.mark.proof
    def test_a_build_of_the_users(self, tmp_path):
        (tmp_path / "mine.py").write_text(USERS)
        result = plan("--target=mine:build", "--data=mine:batches", "--check", "--check_runs=2", cwd=tmp_path)
        assert result.returncode == 0, result.stdout + result.stderr
        assert "16 examples" in result.stdout
        assert "2 of 2 runs" in result.stdout
        assert "parameters 0.07, gradients 0.07, optimizer 0.13 MiB" in result.stdout
        (path,) = (tmp_path / "runs").glob("*/plan.json")
        assert json.loads(path.read_text())["num_replicas"] == 1

    @pytest.mark.proof
    def test_a_build_that_fails_is_told(self, tmp_path):
        (tmp_path / "mine.py").write_text(USERS)
        result = run_script_in_fork("train/plan.py", "--target=mine:fails", "--data=mine:batches", cwd=tmp_path)
        assert_refused(result, 1, "KeyError", "'width'")
        assert not list(tmp_path.glob("runs/*"))
