"""The plug-in for pytest, and examples/ci, which shows how to use it."""

import json
import re
import shlex
import tomllib

import pytest
import yaml
from packaging.requirements import Requirement

from distribute import EquivalenceError, assert_equivalent
from tests.process import REPOSITORY, run_python

from .programs import batch, compiled, strategy

pytest_plugins = ["pytester"]

EXAMPLE = REPOSITORY / "examples/ci"
PROJECT = """
    import keras
    import numpy as np
    import pytest
    import tensorflow as tf

    from distribute import EquivalenceError

    USED_WHILE_IMPORTED = tf.constant(1)
    x, y = np.ones([7, 3], "float32"), np.arange(7.0, dtype="float32")[:, None]

    def build():
        model = keras.Sequential([keras.Input([3]), keras.layers.Dense(1)])
        model.compile("sgd", "mse")
        return model

    def test_even(assert_equivalent):
        report = assert_equivalent(build, [(x[:6], y[:6])], dtypes=("float64",))
        assert report.devices["replicas"] == 3

    def test_uneven(assert_equivalent):
        assert_equivalent(build, [(x, y)], dtypes=("float64",), shrink=False)
"""


def run_pytest(folder, *arguments):
    """Runs pytest as from a shell, in a process with unused TensorFlow."""
    return run_python(
        f"import os, sys, pytest\nos.chdir({str(folder)!r})\nsys.path.insert(0, {str(REPOSITORY)!r})\n"
        f"sys.exit(pytest.main({['-p', 'no:cacheprovider', *arguments]!r}))"
    )


class TestAssertEquivalent:
    def test_returns_the_report(self):
        report = assert_equivalent(compiled(), [batch()], strategy=strategy(2), dtypes=("float64",))
        assert report.ok

    def test_raises_with_the_whole_report(self):
        with pytest.raises(EquivalenceError, match="uneven_batch_weighting") as raised:
            assert_equivalent(compiled(), [batch(7)], strategy=strategy(2), dtypes=("float64",), shrink=False)
        assert str(raised.value).startswith("FAILED: 2 replicas")


class TestPlugin:
    def test_splits_in_time_shows_the_report_and_keeps_it(self, pytester):
        pytester.makeconftest('pytest_plugins = ["distribute.pytest_plugin"]')
        pytester.makeini("[pytest]\nvirtual_gpus = 3\nequivalence_reports = reports")
        pytester.makepyfile(test_project=PROJECT)
        result = run_pytest(pytester.path)
        assert result.returncode == pytest.ExitCode.TESTS_FAILED, result.stdout + result.stderr
        assert "1 failed, 1 passed" in result.stdout
        assert "assert_equivalent(build, [(x, y)]" in result.stdout
        assert "cause   uneven_batch_weighting" in result.stdout
        assert "raise_if_failed" not in result.stdout, "the traceback shows the test alone"
        kept = {path.parent.name: json.loads(path.read_text()) for path in pytester.path.glob("reports/*/report.json")}
        assert {name: record["ok"] for name, record in kept.items()} == {
            "test_project.py-test_even": True,
            "test_project.py-test_uneven": False,
        }
        assert all(record["environment"]["tensorflow"] for record in kept.values())

    def test_split_too_late_is_one_message(self, pytester):
        """This process has its devices already."""
        pytester.makeini("[pytest]\naddopts = -p distribute.pytest_plugin")
        pytester.makepyfile("def test_nothing(): pass")
        result = pytester.runpytest_inprocess("--virtual-gpus=3")
        assert result.ret == pytest.ExitCode.USAGE_ERROR
        result.stderr.fnmatch_lines(["ERROR: * is split already, into 8 logical devices, and 3 * were asked for: *"])

    @pytest.mark.parametrize(
        ("ini", "arguments", "words"),
        [
            ("", ["--virtual-gpus=0"], "0 devices were asked for"),
            ("", ["--virtual-gpus=two"], "invalid int value: 'two'"),
            ("virtual_gpus = two", [], "virtual_gpus = two"),
        ],
    )
    def test_number_that_is_none_is_one_message(self, pytester, ini, arguments, words):
        pytester.makeconftest('pytest_plugins = ["distribute.pytest_plugin"]')
        pytester.makeini(f"[pytest]\n{ini}")
        result = pytester.runpytest_inprocess(*arguments)
        assert result.ret == pytest.ExitCode.USAGE_ERROR
        assert words in result.stderr.str()
        assert "Traceback" not in result.stderr.str()


class TestExample:
    def workflow(self):
        return yaml.safe_load((EXAMPLE / "equivalence.yml").read_text())

    def steps(self):
        return self.workflow()["jobs"]["equivalence"]["steps"]

    def test_workflow_installs_this_project_by_its_name(self):
        (command,) = (step["run"] for step in self.steps() if step.get("run", "").startswith("pip install"))
        project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["name"]
        assert Requirement(shlex.split(command)[-1]).name == project

    def test_page_shows_the_workflow(self):
        page = (REPOSITORY / "docs/tutorial_ci.md").read_text()
        assert re.findall(r"```yaml\n(.*?)```", page, flags=re.DOTALL) == [(EXAMPLE / "equivalence.yml").read_text()]

    @pytest.mark.proof
    @pytest.mark.parametrize("replicas", [2, 3])
    def test_command_of_the_workflow_passes(self, replicas, tmp_path):
        assert replicas in self.workflow()["jobs"]["equivalence"]["strategy"]["matrix"]["replicas"]
        for path in (REPOSITORY / "examples/multi_gpu.py", EXAMPLE / "conftest.py", EXAMPLE / "test_equivalence.py"):
            (tmp_path / path.name).write_text(path.read_text())
        (command,) = (step["run"] for step in self.steps() if step.get("run", "").startswith("pytest"))
        arguments = shlex.split(command.replace("${{ matrix.replicas }}", str(replicas)))[1:]
        result = run_pytest(tmp_path, *arguments)
        assert result.returncode == 0, result.stdout + result.stderr
        (report,) = tmp_path.glob("equivalence-reports/*/report.json")
        assert json.loads(report.read_text())["devices"]["replicas"] == replicas
