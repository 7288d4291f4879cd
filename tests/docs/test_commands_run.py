"""Every command of README, WORKSPACE, CONTRIBUTING and docs/ runs; what takes long is given less to do.

Elsewhere: the tutorials' in test_tutorials.py; those of docs/causes.md, docs/cases.md and docs/doctor.md, pages that
commands write, in the page's own test.
"""

import os
import re
import shutil
import subprocess
import sys

import pytest

from tests.docs.test_commands import COMMANDS, WRITTEN
from tests.process import REPOSITORY

pytestmark = [pytest.mark.proof, pytest.mark.timeout(900)]

# What a reader fills in.
FILLED_IN = {
    r"=N\b": "=2",
    r"=MiB\b": "=200",
    r"=NAME\b": "=configs.line",
    r"=FILE\b": "=train.log",
    r"\bFOLDER\b": "runs/laptop",
    r"\bA B\b": "runs/laptop runs/workstation",
    r"\bpackage\.module:": "my_package.my_module:",
    r"=/shared/": "=runs/",
    r"…'": "--virtual_gpus=2",
    r"=…": "=",
}
# The last of two flags of one name counts.
LESS = {
    "-m benchmarks.cost_curves": "--out=runs/costs --rounds=1 --sweeps=replicas --replicas=1",
    "-m benchmarks.gpu_evidence": "--parts=machine,main --steps=3",
    "-m benchmarks.phases": "--rounds=1",
    "-m benchmarks.plan_accuracy": "--runs=1 wide_net",
    "-m benchmarks.sampling_cost": "--rounds=2",
    "-m benchmarks.scaling_check": "--rounds=1 --replicas=2",
    "-m benchmarks.speed": "--out=runs/speed --rounds=1 --steps=10 --replicas=1",
    "-m benchmarks.thread_pools": "--rounds=1 --steps=10 --replicas=2",
    "-m tests.kill_test": "--kills=2",
    "-m tests.mutations.table": "--sample loss_divided_twice",
    "-m tests.soak": "--minutes=0.2",
    "train/main.py": "--steps=5",
    "train/plan.py": "--virtual_gpus=2 --memory_limit=1024",
    "train/policies.py": "--steps=10 --limits=1024,64",
    "train/scaling.py": "--step_ms=20 --gradient_mib=1",
}
EXIT_CODES = {
    "--memory_limit=5 ": (3,),
    "--minutes=0.2": (0, 1),  # too short for its verdict
}
# They write a page, or a picture of one; the page's own test runs them.
WRITERS = "-m docs.make_"


def to_run():
    """Distinct commands of the pages; a script's name alone, in a sentence, only where it never comes with flags."""
    found: dict[str, set[str]] = {}
    for page, program, arguments in COMMANDS:
        if page not in WRITTEN | {"doctor.md"} and not program.startswith((WRITERS, "-m pytest")):
            is_prose = not re.match(r"--|runs/|[A-Z]", arguments)
            found.setdefault(program, set()).add("" if is_prose else arguments)
    return [(program, one) for program in sorted(found) for one in sorted(found[program] - {""} or {""})]


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """The repository with what a reader has beside it: two runs, a log, a module and a recipe of his own."""
    folder = tmp_path_factory.mktemp("clone")
    for name in ("benchmarks", "configs", "distribute", "docs", "models", "tests", "train"):
        shutil.copytree(REPOSITORY / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(REPOSITORY / "tests/train/logs/article_cublas.txt", folder / "train.log")
    shutil.copy(REPOSITORY / "configs/line.py", folder / "configs/yours.py")
    model, *_ = re.findall(r"```python\n(.*?)```", (REPOSITORY / "README.md").read_text(), re.DOTALL)
    (folder / "my_package").mkdir()
    (folder / "my_package/my_module.py").write_text(model)
    for name, replicas in {"laptop": 2, "workstation": 4}.items():
        flags = f"--steps=5 --verify=off --output_dir=runs/{name} --virtual_gpus={replicas}"
        result = run("train/main.py", flags, folder)
        assert result.returncode == 0, result.stderr
    return folder


def run(program, arguments, folder):
    command = f"{sys.executable} {program} {arguments}"
    environment = {**os.environ, "PYTHONPATH": str(folder), "TF_CPP_MIN_LOG_LEVEL": "3"}
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=800,
        check=False,
    )


@pytest.mark.parametrize(("program", "arguments"), to_run())
def test_runs(program, arguments, clone, tmp_path):
    for placeholder, value in FILLED_IN.items():
        arguments = re.sub(placeholder, value, arguments)
    given, pipe, reader = arguments.partition(" | ")
    given = f"{given} {LESS.get(program, '')}"
    if program == "train/main.py":
        given += f" --output_dir={tmp_path}"  # one that holds another run is refused
    result = run(program, given + pipe + reader, clone)
    expected = next((codes for flag, codes in EXIT_CODES.items() if flag in given), (0,))
    assert result.returncode in expected, result.stdout + result.stderr
    assert "Traceback" not in result.stderr
