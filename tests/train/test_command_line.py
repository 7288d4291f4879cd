"""The command line of every script: help by topic, the nearest flag, and who says what on which stream."""

import importlib
import json
import os
import pty
import re
import subprocess
import sys

import pytest

from tests.process import REPOSITORY, assert_refused, run_script, run_script_in_fork
from train.colours import is_screen, wants_colours
from train.command_line import nearest
from train.flag_help import EXIT_CODES

SCRIPTS = ("main", "verify", "policies", "plan", "doctor", "compare", "scaling")
README = (REPOSITORY / "README.md").read_text()
SCALING = ["--step_ms=120", "--gradient_mib=98", "--links=100gbe", "--replicas=2"]
USERS = """
import keras
import numpy as np

print("a line of the user's own")
os_line = __import__("os").system("echo a line of a process that the user started")

def build():
    model = keras.Sequential([keras.Input([4]), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    return model

def scalar_loss():
    model = keras.Sequential([keras.Input([4]), keras.layers.Dense(1)])
    model.compile("sgd", lambda y_true, y_pred: keras.ops.mean((y_true - y_pred) ** 2))
    return model

batches = [(np.ones([8, 4]), np.ones([8, 1]))]
"""


@pytest.fixture(scope="module")
def helps():
    return {name: run_script(f"train/{name}.py", "--help") for name in SCRIPTS}


class TestHelp:
    @pytest.mark.parametrize("name", SCRIPTS)
    def test_is_asked_for_and_so_no_mistake(self, helps, name):
        assert helps[name].returncode == 0
        assert helps[name].stderr == ""

    @pytest.mark.parametrize("name", SCRIPTS)
    def test_begins_with_what_it_does_and_examples(self, helps, name):
        first, blank, example = helps[name].stdout.splitlines()[:3]
        assert first == importlib.import_module(f"train.{name}").__doc__.splitlines()[0]
        assert (blank, example.startswith(f"python train/{name}.py")) == ("", True)

    @pytest.mark.parametrize("name", SCRIPTS)
    def test_has_every_flag_once_in_a_line_that_fits(self, helps, name):
        _, _, topics = helps[name].stdout.partition("\n\n")
        listed = re.findall(r"^  --(?:\[no\])?(\w+)", topics, re.MULTILINE)
        full = run_script(f"train/{name}.py", "--helpfull")
        assert full.returncode == 0
        (ours,) = re.findall(r"^train\.flags:\n(.*?)\n\n", full.stdout, re.MULTILINE | re.DOTALL)
        assert sorted(listed) == sorted(re.findall(r"^  --(?:\[no\])?(\w+)", ours, re.MULTILINE))
        assert {"json", "quiet", "debug", "output_dir"} <= set(listed)
        lines = [line for line in topics.splitlines() if re.match("  (--| {24})", line)]
        assert max(map(len, lines)) <= 80
        assert len(lines) <= 1.25 * len(listed)

    @pytest.mark.parametrize("name", SCRIPTS)
    def test_of_the_examples_every_flag_exists(self, helps, name):
        _, _, topics = helps[name].stdout.partition("\n\n")
        examples = [line for line in topics.splitlines() if line.startswith(f"python train/{name}.py")]
        used = {flag.removeprefix("no") for line in examples for flag in re.findall(r"--(\w+)", line)}
        assert used <= set(re.findall(r"^  --(?:\[no\])?(\w+)", topics, re.MULTILINE))

    @pytest.mark.parametrize("name", SCRIPTS)
    def test_ends_with_the_exit_codes_which_the_readme_has_too(self, helps, name):
        for code, meaning in EXIT_CODES.items():
            assert f"  {code:25}{meaning}\n" in helps[name].stdout
            assert f"| {code} | {meaning} |" in README

    def test_short_forms_and_a_reader_that_has_gone(self):
        assert run_script("train/compare.py", "-h").stdout == run_script("train/compare.py", "-?").stdout
        command = f"{sys.executable} {REPOSITORY / 'train/main.py'} --help > /dev/full"
        result = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
        assert_refused(result, 3, "main.py: cannot write", "No space left")


class TestUnknownFlags:
    KNOWN = ("virtual_gpus", "global_batch_size", "learning_rate", "resume", "noresume", "save_every")

    @pytest.mark.parametrize(
        ("name", "meant"),
        [
            ("virtual_gpu", "virtual_gpus"),
            ("virtual-gpus", "virtual_gpus"),
            ("gpus", "virtual_gpus"),
            ("batch_size", "global_batch_size"),
            ("batch", "global_batch_size"),
            ("lr", "learning_rate"),
            ("noresum", "noresume"),
            ("save-every", "save_every"),
            ("xyz", None),
        ],
    )
    def test_the_nearest_one(self, name, meant):
        assert nearest(name, self.KNOWN) == meant

    @pytest.mark.parametrize("name", SCRIPTS)
    def test_are_one_line_and_exit_1(self, name):
        result = run_script(f"train/{name}.py", "--outputdir=a")
        assert_refused(result, 1)
        assert result.stderr == f"{name}.py: unknown flag --outputdir: did you mean --output_dir? --help lists all\n"

    @pytest.mark.parametrize(
        ("flag", "words"),
        [
            ("--device=tpu", "should be one of <auto|gpu|cpu> (--help lists all flags)"),
            ("--virtual_gpus", "Missing value for flag --virtual_gpus"),
            ("--flagfile=no.flags", "main.py: Unable to open flagfile"),
        ],
    )
    def test_a_wrong_value_is_one_line_too(self, flag, words):
        result = run_script("train/main.py", flag)
        assert_refused(result, 1, words)
        assert len(result.stderr.splitlines()) == 1


class Screen:
    def __init__(self, is_terminal):
        self.isatty = lambda: is_terminal


class TestColours:
    @pytest.mark.parametrize(
        ("is_terminal", "environment", "expected"),
        [
            (True, {"TERM": "xterm"}, True),
            (True, {"TERM": "xterm", "NO_COLOR": "1"}, False),
            (True, {"TERM": "xterm", "NO_COLOR": ""}, True),
            (True, {"TERM": "dumb"}, False),
            (False, {"TERM": "xterm"}, False),
            (False, {"FORCE_COLOR": "1"}, True),
            (False, {"FORCE_COLOR": "1", "NO_COLOR": "1"}, False),
        ],
    )
    def test_only_on_a_terminal_unless_the_environment_says_so(self, is_terminal, environment, expected):
        assert wants_colours(Screen(is_terminal), environment) == expected

    def test_no_environment_makes_a_screen_of_a_file(self):
        assert not is_screen(Screen(False), {"FORCE_COLOR": "1", "TERM": "xterm"})

    @pytest.mark.parametrize(("no_color", "expected"), [("", True), ("1", False)])
    def test_of_a_script_on_a_real_terminal(self, no_color, expected):
        ours, its = pty.openpty()
        command = [sys.executable, str(REPOSITORY / "train/doctor.py"), "--explain=CUBLAS_STATUS_NOT_INITIALIZED"]
        environment = {**os.environ, "TERM": "xterm", "NO_COLOR": no_color}
        assert subprocess.run(command, stdout=its, env=environment, check=False).returncode == 0
        os.close(its)
        assert (b"\033[1m" in os.read(ours, 65536)) == expected
        os.close(ours)


class TestStreams:
    @pytest.fixture
    def verify(self, tmp_path):
        (tmp_path / "mine.py").write_text(USERS)

        def run(build, *more):
            arguments = [f"--target=mine:{build}", "--data=mine:batches", "--verify=gradients", "--noshrink", *more]
            return run_script_in_fork("train/verify.py", *arguments, cwd=tmp_path)

        return run

    def test_json_is_all_of_standard_output_whoever_prints(self, verify, tmp_path):
        result = verify("build", "--json", "--output_dir=out")
        assert result.returncode == 0, result.stderr
        assert json.loads(result.stdout) == json.loads((tmp_path / "out/report.json").read_text())
        for told in ("a line of the user's own", "a line of a process that the user started", "OK: 2 replicas"):
            assert told in result.stderr

    def test_json_and_quiet_of_a_failure(self, verify):
        result = verify("scalar_loss", "--json", "--quiet")
        assert result.returncode == 2
        assert json.loads(result.stdout)["causes"] == ["loss_summed_over_replicas"]
        assert result.stderr.startswith("FAILED: 2 replicas")

    def test_quiet_says_nothing_of_what_is_well(self, verify):
        result = verify("build", "--quiet")
        assert (result.returncode, result.stdout, result.stderr) == (0, "", "")

    def test_json_of_training(self, tmp_path):
        flags = ["--verify=off", "--steps=2", "--json", "--output_dir=out"]
        result = run_script_in_fork("train/main.py", *flags, cwd=tmp_path)
        assert result.returncode == 0, result.stderr
        assert json.loads(result.stdout) == json.loads((tmp_path / "out/report.json").read_text())
        assert json.loads(result.stdout)["training"]["steps"] == 2
        assert "step 2/2" in result.stderr
        report = str(tmp_path / "out/report.json")
        result = run_script_in_fork("train/compare.py", report, report, "--json", cwd=tmp_path)
        assert json.loads(result.stdout)["same"] is True
        assert result.stderr.startswith("same result")

    def test_a_refusal_leaves_standard_output_empty(self, tmp_path):
        result = run_script_in_fork("train/main.py", "--json", "--config=no.such", cwd=tmp_path)
        assert_refused(result, 1, "no importable module")
        assert result.stdout == ""

    def test_what_the_machine_cannot_do_is_a_document_too(self, tmp_path):
        result = run_script_in_fork("train/main.py", "--json", "--device=gpu", cwd=tmp_path)
        assert_refused(result, 3, "a GPU was asked for")
        assert json.loads(result.stdout)["ok"] is False

    def test_quiet_leaves_a_table_as_it_is(self, tmp_path):
        result = run_script_in_fork("train/scaling.py", *SCALING, "--quiet", cwd=tmp_path)
        told = run_script_in_fork("train/scaling.py", *SCALING, cwd=tmp_path)
        assert result.stderr == ""
        assert told.stdout.startswith(result.stdout)
        assert told.stdout.removeprefix(result.stdout).startswith("all of it: runs/")

    @pytest.mark.parametrize(
        ("arguments", "code", "words"),
        [
            ("--json --quiet > /dev/full", 3, "cannot write"),
            ("> /dev/full", 3, "cannot write"),
            ("--json >&-", 1, "standard output is closed"),
            (">&-", 0, ""),
            ("--json --quiet | true", 141, "standard output was closed"),
            ("--quiet | true", 141, "standard output was closed"),
        ],
    )
    def test_an_output_that_takes_nothing(self, arguments, code, words):
        program = f"{sys.executable} {REPOSITORY / 'train/doctor.py'} --explain=Killed"
        command = f"{program} {arguments}; exit ${{PIPESTATUS[0]}}"
        result = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60, check=False)
        assert_refused(result, code, words)

    @pytest.mark.parametrize(
        ("arguments", "name"),
        [
            (["train/scaling.py", *SCALING], "scaling.json"),
            (["train/doctor.py", "--explain=Killed"], "doctor.json"),
        ],
    )
    def test_the_document_is_the_file(self, tmp_path, arguments, name):
        result = run_script_in_fork(*arguments, "--json", "--output_dir=out", cwd=tmp_path)
        assert result.returncode == 0, result.stderr
        assert json.loads(result.stdout) == json.loads((tmp_path / "out" / name).read_text())
        documented = re.search(rf"\| `{name}` \|.*?\| (.*?) \|\n", README)[1]
        assert set(json.loads(result.stdout)) - {"schema_version"} <= set(re.findall(r"`(\w+)`", documented))
