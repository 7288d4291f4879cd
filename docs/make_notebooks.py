"""Writes the notebooks of docs/notebooks from the tutorials: what is typed becomes a cell, with what it prints below.

python -m docs.make_notebooks
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from docs.tutorial_pages import FOLDER, TUTORIALS, Block, blocks, patch_command

NOTEBOOKS = FOLDER / "notebooks"

HEAD = """\
Made from [{name}.md](../{name}.md) by `python -m docs.make_notebooks`. A cell with a change runs `patch`; a line that
begins with `!` is what you would type in a shell.
"""


def main() -> None:
    """Writes all of them."""
    NOTEBOOKS.mkdir(exist_ok=True)
    for name in TUTORIALS:
        path_of(name).write_text(notebook(name))


def path_of(name: str) -> Path:
    """Where the notebook of a tutorial lies."""
    return NOTEBOOKS / f"{name}.ipynb"


def notebook(name: str) -> str:
    """A tutorial as the JSON text of a notebook."""
    cells = [_text(HEAD.format(name=name)), _code("%cd -q ../..")]
    cells += _cells((FOLDER / f"{name}.md").read_text())
    for number, cell in enumerate(cells):
        cell["id"] = f"cell-{number}"
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    whole = {"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(whole, indent=1, ensure_ascii=False) + "\n"


def _cells(page: str) -> Iterator[dict[str, Any]]:
    """The cells of a page; a change that goes wrong is taken back after the next command."""
    wrong, command = "", _code("")
    for block in blocks(page):
        if block.kind == "":
            command["outputs"] = [{"name": "stdout", "output_type": "stream", "text": _lines(block.text)}]
            continue
        cell = _cell(block)
        yield cell
        if block.kind == "diff wrong":
            wrong = block.text
        elif block.kind == "bash":
            command = cell
            if wrong:
                yield _code(f"%%bash\n{patch_command(wrong, undo=True)}")
                wrong = ""


def _cell(block: Block) -> dict[str, Any]:
    if block.kind == "bash":
        return _code("\n".join(_magic(line) for line in block.text.splitlines()))
    if block.kind == "python":
        return _code(block.text.removesuffix("\n"))
    if block.kind.startswith("diff"):
        return _code(f"%%bash\n{patch_command(block.text)}")
    if block.kind == "text":
        return _text(_from_notebooks(block.text))
    return _text(f"```{block.kind}\n{block.text}```")


def _magic(line: str) -> str:
    """A line of a shell as IPython takes it; a folder or variable that is set has to outlive the line."""
    command, _, rest = line.partition(" ")
    return {"cd": f"%cd -q {rest}", "export": f"%env {rest}"}.get(command, f"!{line}")


def _from_notebooks(text: str) -> str:
    """Links of a page in docs/ as they are from docs/notebooks/."""
    text = re.sub(r"\]\(notebooks/", "](", text)
    return re.sub(r"\]\((?!https?://|#|[\w-]+\.ipynb)", "](../", text)


def _text(source: str) -> dict[str, Any]:
    return {"cell_type": "markdown", "id": "", "metadata": {}, "source": _lines(source.strip())}


def _code(source: str) -> dict[str, Any]:
    return {
        "cell_type": "code",
        "execution_count": None,
        "id": "",
        "metadata": {},
        "outputs": [],
        "source": _lines(source),
    }


def _lines(text: str) -> list[str]:
    return text.splitlines(keepends=True)


if __name__ == "__main__":
    main()
