"""Writes docs/cases.md: public reports that nobody settled, and mistakes that nobody reported, put to `verify`.

python -m docs.make_cases_page > docs/cases.md    # about a minute
"""

import importlib
import os
import subprocess
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from distribute import Devices, Report, split_device, verify

FOLDER = Path(__file__).resolve().parent / "cases"
CASES = (
    "separable_conv",
    "synchronized_batch_norm",
    "uneven_first_batch",
    "overflow_on_second_replica",
    "moving_statistics",
)

HEAD = """\
# Cases: what verify says of reports that nobody settled

Public reports without an answer, and mistakes that nobody seems to have reported, each a small program put to `verify`
on two replicas of a CPU. Where Keras is wrong, a reproduction without this repository stands beside it, ready to be
sent upstream. The files are in [cases/](cases), to be run from the root of the repository:

    python train/verify.py --target=docs.cases.separable_conv:build --data=docs.cases.separable_conv:batches
    python docs/cases/moving_statistics_reproduction.py

Measured with TensorFlow {tensorflow} and Keras {keras}. Written by `python -m docs.make_cases_page > docs/cases.md`;
the tests hold this page to the files, and to what they print today.
"""


def main() -> None:
    """Prints the page."""
    devices = split_device(2, kind="cpu")
    print(head(), end="")
    for name in CASES:
        output = reproduced(name) if reproduction(name).exists() else ""
        print(entry(name, report_of(name, devices), output), end="")


def head() -> str:
    """The beginning of the page."""
    import keras
    import tensorflow as tf

    return HEAD.format(tensorflow=tf.__version__, keras=keras.__version__)


def report_of(name: str, devices: Devices) -> Report:
    """What `verify` says of one case."""
    module = importlib.import_module(f"docs.cases.{name}")
    data = module.batches() if callable(module.batches) else module.batches
    return verify(module.build, data, devices=devices)


def reproduction(name: str) -> Path:
    """The file that shows the bug without this repository; not every case has one."""
    return FOLDER / f"{name}_reproduction.py"


def reproduced(name: str) -> str:
    """What the reproduction prints, in a process of its own."""
    command = [sys.executable, str(reproduction(name))]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def entry(name: str, report: Report, output: str) -> str:
    """The part of the page about one case."""
    title, meaning, code = parts(FOLDER / f"{name}.py")
    text = f"\n## {title}\n\n{meaning}\n\n```python\n{code}\n```\n\n"
    text += f"What `verify` says:\n\n```\n{excerpt(report)}\n```\n"
    if output:
        source = reproduction(name).read_text().strip()
        text += f"\nWithout this repository ([file](cases/{reproduction(name).name})):\n\n```python\n{source}\n```\n\n"
        text += f"It prints\n\n```\n{output}\n```\n"
    return text


def parts(path: Path) -> tuple[str, str, str]:
    """The first line of a file's docstring, the rest of it, and the code."""
    _, docstring, code = path.read_text().split('"""', 2)
    title, _, meaning = docstring.partition("\n")
    return title.rstrip("."), meaning.strip(), code.strip()


def excerpt(report: Report) -> str:
    """The verdict, the causes, the gradients that passed, and the notes."""
    kept, shown = [], False
    for line in str(report).splitlines():
        if line[:8].strip():
            shown = line.startswith(("OK", "FAILED", "cause", "passed  gradient_equivalence/float", "note"))
        if shown:
            kept.append(line)
        elif kept[-1] != "…":
            kept.append("…")
    return "\n".join(kept)


if __name__ == "__main__":
    main()
