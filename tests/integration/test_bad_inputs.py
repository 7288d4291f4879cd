"""Input that every script refuses: one message, the right exit code, nothing overwritten and nothing left behind.

What needs more than one command to be seen, or a process that imports TensorFlow anew, stands with the tests of its
script.
"""

import json
import shlex
from dataclasses import dataclass

import pytest

from tests.process import assert_refused, run_script_in_fork

# What lies in the folder that each command runs in.
FILES = {
    "file": "",
    "mine.py": "import numpy as np\nbatches = [np.ones([16, 32])]\n",
    "recipe_syntax.py": "def get_config(:\n",
    "recipe_fails.py": "raise KeyError('width')\n",
    "recipe_exits.py": "import sys\nsys.exit(0)\n",
    "recipe_without.py": "epochs = 3\n",
    "recipe_number.py": "def get_config():\n    return 3\n",
    "wrong.flags": "--virtual_gpus=2\n--no_such_flag=1\n",
    "other/report.json": '{"ok": true}\n',
    "other/checkpoints/ckpt-7.index": "",
    "odd/report.json/file": "",
    "odder/checkpoints": "",
}


@dataclass(frozen=True)
class Bad:
    """A command that is refused.

    Attributes:
      command: script and flags, without ``train/`` and ``.py``.
      words: what its message says.
      code: its exit code.
      leaves_report: it writes ``report.json`` and its page, as a run does that the machine cannot do, and nothing else.
    """

    command: str
    words: tuple[str, ...]
    code: int = 1
    leaves_report: bool = False


def bad(command, *words, **more):
    return Bad(command, words, **more)


def on_machine(command, *words):
    return bad(command, *words, code=3, leaves_report=True)


MAIN = "main --verify=off --virtual_gpus=2 --output_dir=run"
OUTPUT = [
    bad("{script} --output_dir=file/run", "--output_dir=file/run cannot be written", "name another folder"),
    bad("{script} --output_dir=other", "holds another run of 7 steps", "name another folder"),
    bad("{script} --output_dir=odd", "odd/report.json", "is none", "name another folder"),
    bad("{script} --output_dir=odder", "odder/checkpoints", "is none"),
]
CASES = [
    # Flags whose value is none.
    bad(f"{MAIN} --virtual_gpus=0", "--virtual_gpus=0"),
    bad(f"{MAIN} --virtual_gpus=-2", "--virtual_gpus=-2"),
    bad(f"{MAIN} --virtual_gpus=two", "--virtual_gpus=two"),
    bad(f"{MAIN} --virtual_gpus=1000", "--global_batch_size=64 leaves some of 1000 replicas without"),
    bad(f"{MAIN} --memory_limit=-5", "--memory_limit=-5"),
    bad(f"{MAIN} --memory_limit=1GB", "--memory_limit=1GB"),
    bad(f"{MAIN} --epochs=0", "--epochs=0"),
    bad(f"{MAIN} --steps=-1", "--steps=-1"),
    bad(f"{MAIN} --steps=1e3", "--steps=1e3"),
    bad(f"{MAIN} --global_batch_size=0", "--global_batch_size=0"),
    bad(f"{MAIN} --learning_rate=nan", "--learning_rate", "finite"),
    bad(f"{MAIN} --learning_rate=-1", "--learning_rate=-1"),
    bad(f"{MAIN} --seed=4294967296", "--seed"),
    bad(f"{MAIN} --save_every=often", "--save_every", "steps (50) or minutes (2m)"),
    bad(f"{MAIN} --save_every=0", "--save_every"),
    bad(f"{MAIN} --profile_steps=7", "--profile_steps", "such as 100-105"),
    bad(f"{MAIN} --profile_steps=9-3", "--profile_steps", "not behind the last"),
    bad(f"{MAIN} --gradient_histograms=0", "--gradient_histograms"),
    bad(f"{MAIN} --device=tpu", "--device=tpu"),
    bad(f"{MAIN} --isolation=thread", "--isolation=thread"),
    bad(f"{MAIN} --verify=some", "--verify=some"),
    bad(f"{MAIN} --first_rows=0", "--first_rows=0"),
    bad(f"{MAIN} --virtul_gpus=2", "unknown flag --virtul_gpus", "did you mean --virtual_gpus?"),
    bad(f"{MAIN} --flagfile=no.flags", "no.flags"),
    bad(f"{MAIN} --flagfile=wrong.flags", "no_such_flag"),
    bad(f"{MAIN} 100", "unexpected argument '100'", "--name=value"),
    # Flags that contradict each other, or the data.
    bad(f"{MAIN} --memory_policy=growth --memory_limit=100", "'growth' contradicts a limit of 100 MiB"),
    bad(f"{MAIN} --global_batch_size=1", "--global_batch_size=1 leaves some of 2 replicas without"),
    bad(f"{MAIN} --verify=gradients --accept=no_such_cause", "no_such_cause", "local_batch_statistics"),
    bad("main --resume", "--resume needs --output_dir"),
    bad(f"{MAIN} --resume", "there is no checkpoint"),
    bad(f"{MAIN} --global_batch_size=1 --output_dir=empty", "--global_batch_size=1"),
    bad(f"{MAIN} --dataset=mnisst", "mnisst", "mnist"),
    bad(f"{MAIN} --dataset=../digits", "../digits"),
    *[bad(case.command.format(script=MAIN), *case.words) for case in OUTPUT],
    # Recipes that are none.
    bad(f"{MAIN} --config=no.such", "--config=no.such is no importable module"),
    bad(f"{MAIN} --config=", "--config="),
    bad(f"{MAIN} --config=no.py", "--config=no.py does not exist"),
    bad(f"{MAIN} --config=other", "--config=other"),
    bad(f"{MAIN} --config=recipe_syntax.py", "SyntaxError", "recipe_syntax.py, line 1"),
    bad(f"{MAIN} --config=recipe_fails.py", "KeyError: 'width'", "recipe_fails.py:1"),
    bad(f"{MAIN} --config=recipe_exits.py", "--config=recipe_exits.py: SystemExit", "recipe_exits.py:2"),
    bad(f"{MAIN} --config=recipe_without.py", "has no get_config()"),
    bad(f"{MAIN} --config=recipe_number.py", "returned int, not a configs.recipe.Recipe"),
    # What the machine cannot do.
    on_machine(f"{MAIN} --memory_limit=10000000", "2 x 10000000 MiB", "ask for at most"),
    on_machine(f"{MAIN} --device=gpu", "a GPU was asked for"),
    # The other scripts.
    bad("verify --target=a:b", "--data is needed"),
    bad("verify --data=a:b", "--target is needed"),
    bad("verify --target=a:b --data=c:d --accept=no_such_cause", "no_such_cause", "local_batch_statistics"),
    bad("verify --target=a:b --data=c:d --verify=off", "--verify=off"),
    bad("verify --target=a:b --data=c:d --check_steps=0", "--check_steps=0"),
    bad("verify --target=a:b --data=c:d --steps=2", "steps"),
    bad("verify --target=a:b --data=c:d more", "unexpected argument 'more'"),
    *[bad(case.command.format(script="verify --target=a:b --data=c:d"), *case.words) for case in OUTPUT],
    on_machine("verify --target=a:b --data=c:d --device=gpu --output_dir=run", "a GPU was asked for"),
    bad("plan --target=mine:build", "--target and --data belong together"),
    bad("plan --target=mine:no --data=mine:batches --output_dir=run", "mine.py", "has no 'no'"),
    bad("plan --check_runs=0", "check_runs"),
    bad("plan --device=gpu", "--device=gpu", "made on a CPU"),
    bad("plan --config=no.such --output_dir=run", "--config=no.such is no importable module"),
    bad("plan --output_dir=other", "holds another run of 7 steps"),
    bad("policies --limits=64,much", "whole numbers of MiB"),
    bad("policies --limits=0", "whole numbers of MiB"),
    bad("policies --limits=-5", "whole numbers of MiB"),
    bad("policies --config=no.such", "--config=no.such is no importable module"),
    bad("policies --steps=1 --output_dir=run", "--steps=1", "give 2 or more"),
    bad("policies --device=gpu --output_dir=run", "--device=gpu", "no GPU", code=3),
    bad("policies --output_dir=other", "holds another run of 7 steps"),
    bad("scaling --device=gpu --output_dir=run", "a GPU was asked for", code=3),
    bad("doctor --log=no.log", "--log=no.log", "No such file"),
    bad("doctor --log=other", "--log=other", "Is a directory"),
    bad("doctor --log=a --explain=b", "not both"),
    bad("doctor --explain=a --output_dir=file", "--output_dir=file", "name another folder"),
    bad("doctor log", "unexpected argument 'log'"),
    bad("doctor --virtual_gpus=2", "virtual_gpus"),
]


def contents(folder):
    """The text of each file below the folder, None for each folder."""
    return {
        str(path.relative_to(folder)): path.read_text() if path.is_file() else None
        for path in folder.rglob("*")
        if "__pycache__" not in path.parts
    }


@pytest.fixture
def folder(tmp_path):
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "empty").mkdir()
    return tmp_path


class TestBadInputs:
    @pytest.mark.parametrize("case", CASES, ids=lambda case: case.command)
    def test_is_refused(self, folder, case):
        script, *flags = shlex.split(case.command)
        before = contents(folder)
        result = run_script_in_fork(f"train/{script}.py", *flags, cwd=folder)
        assert_refused(result, case.code, *case.words)
        after = contents(folder)
        if case.leaves_report:
            assert json.loads(after.pop("run/report.json"))["ok"] is False
            assert "<html" in after.pop("run/report.html")
            del after["run"]
        assert after == before
