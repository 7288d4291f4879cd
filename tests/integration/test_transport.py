"""Damage that is planted between two devices ends a run before anything is computed."""

import json

import pytest

from tests.process import assert_refused, run_script_in_fork

ZEROES_FROM_1_TO_0 = """
import tensorflow
from distribute.transport_check import copies

def damaging(value, device, copy_to=copies.copy_to):
    hit = value.device.endswith("CPU:1") and device == "CPU:0"
    return tensorflow.zeros_like(value) if hit else copy_to(value, device)

copies.copy_to = damaging
"""
MODULE = """
import keras
import numpy as np

def build():
    model = keras.Sequential([keras.Input([3]), keras.layers.Dense(1)])
    model.compile("sgd", keras.losses.MeanSquaredError())
    return model

def batches():
    return [(np.ones([4, 3]), np.ones([4, 1]))]
"""


def report_of(folder):
    return json.loads((folder / "report.json").read_text())


@pytest.fixture
def flags_of(tmp_path):
    (tmp_path / "mine.py").write_text(MODULE)
    return {
        "train/main.py": ["--virtual_gpus=2", "--steps=3", "--verify=off", f"--output_dir={tmp_path}/run"],
        "train/verify.py": ["--target=mine:build", "--data=mine:batches", f"--output_dir={tmp_path}/run"],
    }


class TestTransport:
    @pytest.mark.parametrize("script", ["train/main.py", "train/verify.py"])
    def test_damage_is_exit_3_with_the_pair_and_what_to_do(self, tmp_path, flags_of, script):
        result = run_script_in_fork(script, *flags_of[script], cwd=tmp_path, before=ZEROES_FROM_1_TO_0)
        assert_refused(result, 3, "CPU:1 -> CPU:0: 393,225 of 393,225 values differ", "ACS", "iommu=pt", "NCCL_P2P")
        report = report_of(tmp_path / "run")
        assert report["ok"] is False
        assert report["transport"]["ok"] is False
        assert [failure["what"] for failure in report["transport"]["failures"]] == ["CPU:1 -> CPU:0"]
        assert "CPU:1 -> CPU:0" in report["notes"][-1]
        assert report["training"]["steps"] is None

    @pytest.mark.proof
    def test_a_sound_run_records_it(self, tmp_path, flags_of):
        result = run_script_in_fork("train/main.py", *flags_of["train/main.py"], cwd=tmp_path)
        assert result.returncode == 0, result.stderr
        transport = report_of(tmp_path / "run")["transport"]
        assert (transport["ok"], transport["failures"]) == (True, [])
        assert transport["seconds"] > 0

    def test_one_device_sends_nothing(self, tmp_path, flags_of):
        flags = [*flags_of["train/main.py"], "--virtual_gpus=1"]
        result = run_script_in_fork("train/main.py", *flags, cwd=tmp_path, before=ZEROES_FROM_1_TO_0)
        assert result.returncode == 0, result.stderr
        assert report_of(tmp_path / "run")["transport"] == {}
