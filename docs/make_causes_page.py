"""Writes docs/causes.md: every mistake that `verify` names, as the programs in docs/causes show it.

python -m docs.make_causes_page > docs/causes.md    # all of them, in 2 to 5 minutes
python -m docs.make_causes_page missing_all_reduce  # one, with the whole reports
"""

import ast
import importlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from distribute import Devices, Report, split_device, verify
from distribute.causes import CAUSES

FOLDER = Path(__file__).resolve().parent / "causes"
MOST_REPLICAS = 3

HEAD = """\
# What goes wrong on several replicas

Each of the {number} mistakes that `verify` names, in a small program: the wrong code, what `verify` says of it, why,
and the mended code. All ran on two replicas of a CPU, `dropped_replica` on three; [remedies.md](remedies.md) has more
on what to write instead. Each is a file in [causes/](causes), to be run from the root of the repository:

    python train/verify.py --target=docs.causes.loss_divided_twice:wrong --data=docs.causes.loss_divided_twice:batches
    python -m docs.make_causes_page loss_divided_twice

Written by `python -m docs.make_causes_page > docs/causes.md`; the tests hold this page to the files, and to what
`verify` says of them today.

"""


def main(names: list[str]) -> None:
    """Prints the page, or the reports of the causes named."""
    devices = devices_by_number(split_device(MOST_REPLICAS, kind="cpu").names)
    if names:
        for name in names:
            for side in ("wrong", "mended"):
                print(f"--- {side}\n{report_of(name, side, devices)}")
        return
    print(HEAD.format(number=len(CAUSES)) + contents(), end="")
    for name in CAUSES:
        print(entry(name, report_of(name, "wrong", devices)), end="")


def devices_by_number(names: tuple[str, ...]) -> Callable[[int], Devices]:
    """Makes a function that gives the first N of the logical CPUs that this process has."""
    return lambda number: Devices("cpu", names[:number], "virtual", "default", None, "", "")


def report_of(name: str, side: str, devices: Callable[[int], Devices], **options: Any) -> Report:
    """What `verify` says of one side, ``wrong`` or ``mended``, of the program of one cause."""
    module = program(name)
    chosen = devices(getattr(module, "replicas", 2))
    strategy = getattr(module, f"{side}_strategy", None)
    where = {"devices": chosen} if strategy is None else {"strategy": strategy(chosen)}
    accept = getattr(module, "accept", ())
    data = getattr(module, f"{side}_batches", None) or module.batches
    return verify(getattr(module, side), data, accept=accept, **where, **options)


def program(name: str) -> ModuleType:
    """The module of one cause."""
    return importlib.import_module(f"docs.causes.{name}")


def contents() -> str:
    """A line for each entry."""
    return "".join(f"- [`{name}`](#{name}): {cause.mistake}\n" for name, cause in CAUSES.items())


def entry(name: str, report: Report) -> str:
    """The part of the page about one cause, with what `report` says of the wrong program."""
    why, wrong, mended = parts(name)
    return (
        f"\n## {name}\n\n"
        f"```python\n{wrong}\n```\n\nWhat `verify` says:\n\n```\n{excerpt(report)}\n```\n\n"
        f"{why}\n\nMended ([the whole file](causes/{name}.py)):\n\n```python\n{mended}\n```\n"
    )


def parts(name: str) -> tuple[str, str, str]:
    """A file in three parts: its docstring, the program up to what is mended, and the rest."""
    text = (FOLDER / f"{name}.py").read_text()
    module = ast.parse(text)
    docstring, *others = module.body
    first = next(node.lineno for node in others if _names(node).lower().startswith("mended"))
    lines = text.splitlines()
    code = (lines[docstring.end_lineno : first - 1], lines[first - 1 :])
    wrong, mended = ("\n".join(part).strip() for part in code)
    return ast.get_docstring(module) or "", wrong, mended


def _names(node: ast.stmt) -> str:
    """What a statement defines."""
    if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
        return node.targets[0].id
    return str(getattr(node, "name", ""))


def excerpt(report: Report) -> str:
    """The beginning of a report: the verdict, the first cause with what was seen, and the smallest case."""
    kept, seen, shown = [], set(), False
    for line in str(report).splitlines():
        label = line[:8].strip(" :")
        if label:
            shown = label in ("FAILED", "cause", "small") and label not in seen
            seen.add(label)
        if shown:
            kept.append(line)
        elif label and kept[-1] != "…":
            kept.append("…")
    return "\n".join(kept)


if __name__ == "__main__":
    main(sys.argv[1:])
