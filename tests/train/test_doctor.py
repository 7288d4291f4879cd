"""The doctor as a user runs it, what it prints, and how it reads logs."""

import io
import json
import os
from pathlib import Path

import pytest

from distribute.log_explanation import read_log
from tests.process import assert_refused, run_script
from train import doctor
from train.machine_checks.probe import probe_tensorflow
from train.machine_checks.row import Row, Status
from train.machine_checks.text import findings_text, rows_text

LOGS = Path(__file__).resolve().parent / "logs"


def first_on_path(folder):
    return os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])


class TestText:
    ROWS = (Row("Python", Status.OK, "3.12.1"), Row("driver", Status.PROBLEM, "old", "a new one " * 20))

    def test_is_aligned_and_without_colours_in_a_pipe(self):
        lines = rows_text(self.ROWS, 80, colours=False).splitlines()
        assert lines[0] == "1 problem, 0 warnings, 1 ok, 0 not looked at"
        assert lines[1] == "ok       Python  3.12.1"
        assert lines[2].startswith("problem  driver  old")
        assert lines[3].startswith("                 → a new one")
        assert max(map(len, lines)) <= 80

    def test_fits_a_pane_that_is_too_narrow(self):
        assert "driver" in rows_text(self.ROWS, 10, colours=False)

    def test_colours_on_a_terminal(self):
        assert "\033[31;1mproblem" in rows_text(self.ROWS, 80, colours=True)

    def test_an_end_that_is_not_known_is_shown(self):
        text = findings_text(read_log(["KeyError: 'width'"]), 120, colours=False)
        assert text.startswith("not recognised")
        assert "line 1: KeyError: 'width'" in text


class TestReadingLogs:
    def test_whatever_its_bytes_are(self):
        assert list(doctor.lines_of(io.BytesIO(b"a\xffb\r\nc"))) == ["a\ufffdb\r", "c"]
        assert list(doctor.lines_of(io.BytesIO(b""))) == []

    def test_powershell_writes_utf_16(self, tmp_path):
        path = tmp_path / "log"
        path.write_bytes((LOGS / "article_cublas.txt").read_text().encode("utf-16"))
        with path.open("rb") as file:
            assert read_log(doctor.lines_of(file)).explained[0].identifier == "cublas_failed"

    def test_the_rest_of_a_huge_line_is_left_out_and_lines_are_counted_right(self):
        lines = list(doctor.lines_of(io.BytesIO(b"x" * 300_000 + b"\nKilled\n")))
        assert [len(line) for line in lines] == [1 << 16, 6]


class TestScript:
    def test_a_log_from_a_file_without_tensorflow(self, tmp_path):
        """Nothing of it needs TensorFlow: the answer comes at once, and where TensorFlow is broken."""
        result = run_script(
            "train/doctor.py", f"--log={LOGS}/article_cublas.txt", f"--output_dir={tmp_path}", timeout=20
        )
        assert result.returncode == 0, result.stderr
        assert result.stderr == ""
        assert "\033" not in result.stdout
        for word in ("out of GPU memory", "--memory_policy=growth", "TF_FORCE_GPU_ALLOW_GROWTH", "--memory_limit"):
            assert word in result.stdout
        record = json.loads((tmp_path / "doctor.json").read_text())
        assert record["explained"][0]["identifier"] == "cublas_failed"

    def test_an_unrelated_traceback(self):
        result = run_script("train/doctor.py", f"--log={LOGS}/unrelated/python_traceback.txt")
        assert (result.returncode, result.stdout.split(":")[0]) == (0, "not recognised")

    def test_one_message(self):
        result = run_script("train/doctor.py", "--explain=Memory growth cannot differ between GPU devices")
        assert (result.returncode, result.stdout.split(":")[0]) == (0, "growth_differs")

    def test_this_machine(self, tmp_path):
        result = run_script("train/doctor.py", f"--output_dir={tmp_path}", CUDA_VISIBLE_DEVICES="")
        assert result.returncode == 0, result.stderr
        rows = json.loads((tmp_path / "doctor.json").read_text())["rows"]
        names = [row["name"] for row in rows]
        assert names[:3] == ["Python", "TensorFlow", "Keras"]
        assert {"driver", "host memory", "cores", "CUDA_VISIBLE_DEVICES"} <= set(names)
        assert "hides every GPU" in result.stdout

    @pytest.mark.parametrize(
        ("code", "word"),
        [
            ("raise ImportError('libcublas.so.12: cannot open shared object file')", "libcublas.so.12"),
            ("import os\nos.kill(os.getpid(), 4)", "SIGILL"),
            ("import sys\nsys.exit(3)", "exit code 3"),
        ],
    )
    def test_a_tensorflow_that_cannot_be_imported(self, tmp_path, code, word):
        (tmp_path / "tensorflow").mkdir()
        (tmp_path / "tensorflow/__init__.py").write_text(code)
        result = run_script("train/doctor.py", PYTHONPATH=first_on_path(tmp_path))
        assert result.returncode == 0, result.stderr
        line = next(line for line in result.stdout.splitlines() if "TensorFlow  " in line)
        assert line.startswith("problem")
        assert word in line
        assert "host memory" in result.stdout
        assert "goes before the installed tensorflow" in result.stdout

    def test_a_tensorflow_that_talks(self, tmp_path, monkeypatch):
        (tmp_path / "tensorflow").mkdir()
        (tmp_path / "tensorflow/__init__.py").write_text("print('{')")
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
        probe = probe_tensorflow()
        assert probe.tensorflow == ""
        assert "AttributeError" in probe.error

    def test_a_missing_package_is_one_message(self, tmp_path):
        (tmp_path / "psutil.py").write_text("raise ImportError('No module named psutil')\n")
        result = run_script("train/doctor.py", "--json", PYTHONPATH=first_on_path(tmp_path))
        assert_refused(result, 3, "psutil", "pip install")
        assert result.stdout == ""
