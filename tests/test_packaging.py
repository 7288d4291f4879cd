"""The library under the name that a wheel gives it, where nothing is called `distribute`."""

import re
import shutil
import subprocess
import sys

import pytest

from tests.process import REPOSITORY, run_python

LIBRARY = REPOSITORY / "distribute"
NAME = "virtual_gpu_training"
USERS = """
import sys

import keras
import numpy as np

def build():
    assert "distribute" not in sys.modules, "a library of this name may be somebody else's"
    model = keras.Sequential([keras.Input([4]), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    return model

batches = [(np.ones([8, 4]), np.ones([8, 1]))]
"""
CHECK = f"""
import mine
from {NAME} import check_memory, split_device, verify

if __name__ == "__main__":
    devices = split_device(2, memory_limit_mib=256)
    report = verify(mine.build, mine.batches, devices=devices)
    report = report.merge(check_memory("mine:build", "mine:batches", devices=devices))
    report.raise_if_failed()
    print([check.status for check in report.checks if check.name == "memory_bounds/limit"])
"""
TYPED = f"""
from {NAME} import Report, split_device, verify

report: Report = verify(lambda: None, [], devices=split_device(2))
reveal_type(report.ok)
reveal_type(split_device(2).names)
"""


def test_it_runs_under_another_name(tmp_path):
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(LIBRARY, tmp_path / NAME, ignore=ignored)
    hidden = "sys.modules.update({name: None for name in list(sys.modules) if name.partition('.')[0] == 'distribute'})"
    code = f"""
        import sys
        {hidden}
        sys.path.insert(0, {str(tmp_path)!r})
        import keras, numpy
        from {NAME} import split_device, verify

        def build():
            model = keras.Sequential([keras.Input([4]), keras.layers.Dense(1)])
            model.compile("sgd", lambda y_true, y_pred: keras.ops.mean((y_true - y_pred) ** 2))
            return model

        print(verify(build, [(numpy.ones([8, 4]), numpy.ones([8, 1]))], devices=split_device(2), shrink=False))
    """
    result = run_python(re.sub(r"(?m)^ {8}", "", code))
    assert result.returncode == 0, result.stderr
    assert "cause   loss_summed_over_replicas" in result.stdout
    assert f"{NAME}.global_mean(per_example)" in " ".join(result.stdout.split())


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A folder with an installed wheel, built as `pip install git+…` does; that takes hatchling from the network."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--quiet"]
    subprocess.run([*pip, "wheel", "--no-deps", f"--wheel-dir={folder}", str(REPOSITORY)], check=True)
    (wheel,) = folder.glob("*.whl")
    subprocess.run([*pip, "install", "--no-deps", f"--target={folder / 'site'}", str(wheel)], check=True)
    return folder / "site"


def run(folder, site, *arguments):
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(folder), "PYTHONPATH": str(site), "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, *arguments]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False
    )


@pytest.mark.proof
class TestWheel:
    def test_holds_the_library_and_nothing_else(self, site):
        assert {path.name.partition("-")[0] for path in site.iterdir()} == {NAME}
        modules = {str(path.relative_to(site / NAME)) for path in (site / NAME).rglob("*.py")}
        assert modules == {str(path.relative_to(LIBRARY)) for path in LIBRARY.rglob("*.py")}
        assert (site / NAME / "py.typed").exists()

    def test_verifies_and_checks_memory_in_processes_of_its_own(self, tmp_path, site):
        (tmp_path / "mine.py").write_text(USERS)
        (tmp_path / "check.py").write_text(CHECK)
        result = run(tmp_path, site, "check.py")
        assert result.returncode == 0, result.stderr
        assert result.stdout == "['passed']\n"

    def test_types_are_found(self, tmp_path, site):
        (tmp_path / "typed.py").write_text(TYPED)
        result = run(tmp_path, site, "-m", "mypy", "typed.py")
        assert result.returncode == 0, result.stdout
        assert 'Revealed type is "bool"' in result.stdout
        assert 'Revealed type is "tuple[str, ...]"' in result.stdout.replace("builtins.", "")
