"""Runs the cases of one cause or kind in a process of its own: a build and its trace leave 7 to 8 MiB behind.

python -m tests.mutations.groups OUTPUT.json [--sample] NAME …

Writes the outcomes as JSON; prints nothing of its own.
"""

import dataclasses
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .suite import Outcome

SEEDS = 5
"""Of the data of innocent programs; one in the sample."""

ROOT = Path(__file__).resolve().parents[2]


def outcomes_of(names: Sequence[str], sample: bool = False) -> list["Outcome"]:
    """The outcomes of these causes and kinds, from a child process.

    Raises:
      RuntimeError: the child did not come to its end.
    """
    from .suite import Outcome

    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "outcomes.json"
        command = [
            sys.executable,
            "-m",
            "tests.mutations.groups",
            str(output),
            *names,
            *(["--sample"] if sample else []),
        ]
        child = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        if child.returncode or not output.exists():
            raise RuntimeError(f"{' '.join(command)} ended with {child.returncode}: {child.stderr[-2000:]}")
        return [
            Outcome(**{**one, "causes": tuple(one["causes"]), "failed": tuple(one["failed"])})
            for one in json.loads(output.read_text())
        ]


def main(arguments: list[str]) -> int:
    from . import registry, suite

    suite.split_cpu()
    sample = "--sample" in arguments
    output, *names = [word for word in arguments if word != "--sample"]
    found = []
    for name in names:
        for case, replicas in registry.sample(name) if sample else registry.every_run(name):
            found.append(suite.outcome_of(case, replicas, 1 if sample else SEEDS))
    Path(output).write_text(json.dumps([dataclasses.asdict(one) for one in found]))
    return 0


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.exit(main(sys.argv[1:]))
