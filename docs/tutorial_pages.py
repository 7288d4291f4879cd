"""Reads a tutorial: its commands, what they print, and its changes to a file, in the order of the page.

In a tutorial ```bash is what the reader types, ``` is what that printed, ```diff is a change that he makes, and
```diff wrong is one that he makes for the next command only, to see it go wrong.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
TUTORIALS = ("tutorial", "tutorial_custom_loop", "tutorial_ci")

_FENCED = re.compile(r"^```([^\n]*)\n(.*?)^```$\n?", flags=re.DOTALL | re.MULTILINE)
_HUNK = re.compile(r"^@@ -(\d+)[^\n]*@@[^\n]*\n", flags=re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A piece of a page.

    Attributes:
      kind: ``text``, or what stands behind the opening fence: ``bash``, ``diff``, ``diff wrong``, ``python``, ``yaml``;
        empty for what a command printed.
      text: without the fences.
    """

    kind: str
    text: str


def blocks(page: str) -> Iterator[Block]:
    """The pieces of a page from top to bottom."""
    end = 0
    for fenced in _FENCED.finditer(page):
        if page[end : fenced.start()].strip():
            yield Block("text", page[end : fenced.start()])
        yield Block(fenced[1], fenced[2])
        end = fenced.end()
    if page[end:].strip():
        yield Block("text", page[end:])


def applied(diff: str, file: str) -> str:
    """The text of a file after a change, a unified diff.

    Raises:
      ValueError: a line that the change takes away or leaves is not in the file where it says.
    """
    lines, old = file.splitlines(keepends=True), 0
    changed: list[str] = []
    _, *hunks = _HUNK.split(diff)
    for start, body in zip(hunks[::2], hunks[1::2], strict=True):
        changed += lines[old : int(start) - 1]
        old = int(start) - 1
        for line in body.splitlines(keepends=True):
            sign, text = line[0], line[1:] or "\n"
            if sign == "+":
                changed.append(text)
                continue
            if lines[old : old + 1] != [text]:
                raise ValueError(f"line {old + 1} of the file is not the one of the diff: {text!r}\n{diff}")
            changed += [text] if sign != "-" else []
            old += 1
    return "".join(changed + lines[old:])


def patch_command(diff: str, *, undo: bool = False) -> str:
    """The command of a shell that makes a change, or takes it back."""
    return f"patch --strip=0{' --reverse' * undo} <<'END OF CHANGE'\n{diff}END OF CHANGE"
