"""The evidence from a GPU: without one every file says so; on CPU each part runs and is saved row by row."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import tensorflow as tf

from benchmarks import gpu_evidence
from benchmarks.evidence.command import Setting, run
from tests.process import is_running, wait_until

PARTS = list(gpu_evidence.PARTS)


def evidence(out, *flags, timeout=900):
    command = [sys.executable, "-m", "benchmarks.gpu_evidence", f"--out={out}", *flags]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=timeout)


def saved(out):
    return {path.stem: json.loads(path.read_text()) for path in Path(out).iterdir()}


class TestWithoutGpu:
    @pytest.mark.skipif(bool(tf.config.list_physical_devices("GPU")), reason="there is a GPU")
    def test_every_part_is_a_file_that_says_why_it_was_skipped(self, tmp_path):
        result = evidence(tmp_path)
        assert result.returncode == 0, result.stderr
        files = saved(tmp_path)
        assert set(files) == set(PARTS)
        assert len(files) <= 8
        assert {file["skipped"] for file in files.values()} == {"TensorFlow lists no GPU on this machine"}
        assert "throughput: TensorFlow lists no GPU" in result.stdout

    def test_a_part_that_does_not_exist_is_named(self, tmp_path):
        result = evidence(tmp_path, "--parts=mian")
        assert result.returncode == 2
        assert "no part is called 'mian'; there are machine, main," in result.stderr


class TestSaving:
    def test_a_part_that_breaks_keeps_its_rows_and_the_next_one_runs(self, tmp_path, monkeypatch):
        def breaks(setting):
            yield {"name": "first"}
            raise RuntimeError("the machine was taken away")

        monkeypatch.setitem(gpu_evidence.PARTS, "plan", breaks)
        gpu_evidence.take("plan", Setting("cpu", tmp_path), tmp_path / "plan.json", "")
        record = json.loads((tmp_path / "plan.json").read_text())
        assert record["rows"] == [{"name": "first"}]
        assert record["broke"] == "RuntimeError: the machine was taken away"

    def test_what_is_kept_names_no_folder_of_the_machine(self):
        found = run(["-c", "import sys; print(sys.executable, __import__('train').__file__)"], timeout_s=30)
        assert found["output"] == "python train/__init__.py\n"

    def test_a_command_is_ended_at_its_limit_with_its_children_and_keeps_its_words(self, tmp_path):
        code = (
            "import subprocess, sys, time; child = subprocess.Popen(['sleep', '60']); "
            f"open({str(tmp_path / 'pid')!r}, 'w').write(str(child.pid)); print('so far', flush=True); time.sleep(60)"
        )
        found = run(["-c", code], timeout_s=2)
        assert found["exit"] is None
        assert "so far" in found["output"]
        child = int((tmp_path / "pid").read_text())
        # A signal sent is not yet a process ended, and nobody here can wait for the child of a child.
        wait_until(lambda: not is_running(child), timeout=10)


@pytest.mark.proof
@pytest.mark.timeout(1500)
class TestPartsOnCpu:
    def test_all_parts_run_and_hold_what_the_page_needs(self, tmp_path):
        parts = "main,precision,policies,out_of_memory,plan"
        result = evidence(tmp_path, "--device=cpu", "--steps=20", f"--parts={parts}", timeout=1400)
        assert result.returncode == 0, result.stderr
        files = saved(tmp_path)
        assert not [name for name, file in files.items() if "broke" in file]
        assert {row["exit"] for name in ("main", "policies") for row in files[name]["rows"]} == {0}
        checks = {check["name"]: check for check in files["precision"]["rows"][0]["report"]["checks"]}
        assert checks["gradient_equivalence/float64"]["observed"] < 1e-12
        assert [row["same_bytes"] for row in files["precision"]["rows"] if "same_bytes" in row][0] is True
        small, checked, other = files["out_of_memory"]["rows"]
        assert (small["exit"], checked["exit"]) == (3, 3)
        assert "cannot take memory" in other["skipped"]
        tried = {row["limit_mib"]: row["exit"] for row in files["plan"]["rows"][1:]}
        assert tried[files["plan"]["rows"][0]["plan"]["limit_mib"]] == 0
        assert 3 in tried.values()

    def test_throughput_is_told_for_each_setting_against_one_device(self, tmp_path):
        rows = list(gpu_evidence.throughput.measure(Setting("cpu", tmp_path), replicas=(1, 2), batches="4"))
        assert [row["exit"] for row in rows] == [0, 0]
        assert [len(row["figures"]) for row in rows] == [4, 4]
        assert all(figure["ratio_to_one"] == 1 for figure in rows[0]["figures"])
