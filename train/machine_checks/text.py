"""The doctor's list and explanations as text: aligned, and without colours where nobody asked for them."""

import textwrap
from collections import Counter
from collections.abc import Iterator, Sequence

from distribute.log_explanation import Evidence, Explained, LogFindings
from train.machine_checks.row import Row, Status

_COLOURS = {Status.OK: "32", Status.WARNING: "33", Status.PROBLEM: "31;1", Status.SKIPPED: "2"}
_LEAST_ROOM = 20  # columns for a text, however narrow the terminal is
_LABEL = 9  # columns of "problem" and "skipped", and of the labels of an explanation


def rows_text(rows: Sequence[Row], width: int, *, colours: bool) -> str:
    """One line for each row, and its remedy below it."""
    name_width = max(len(row.name) for row in rows) + 2
    numbers = Counter(row.status for row in rows)
    problems, warnings = (_counted(numbers[status], status) for status in (Status.PROBLEM, Status.WARNING))
    lines = [f"{problems}, {warnings}, {numbers[Status.OK]} ok, {numbers[Status.SKIPPED]} not looked at"]
    for row in rows:
        lines += _row_lines(row, name_width, width, colours)
    return "\n".join(lines) + "\n"


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _row_lines(row: Row, name_width: int, width: int, colours: bool) -> Iterator[str]:
    label = f"{row.status:{_LABEL}}"
    if colours:
        label = f"\033[{_COLOURS[row.status]}m{label}\033[0m"
    indent = " " * (_LABEL + name_width)
    room = max(width - len(indent), _LEAST_ROOM)
    found = row.found if row.status != Status.SKIPPED or not row.remedy else f"{row.found}: {row.remedy}"
    first, *others = textwrap.wrap(found, room) or [""]
    yield f"{label}{row.name:{name_width}}{first}".rstrip()
    if row.status in (Status.WARNING, Status.PROBLEM) and row.remedy:
        others += textwrap.wrap("→ " + row.remedy, room, subsequent_indent="  ")
    yield from (indent + line for line in others)


def findings_text(findings: LogFindings, width: int, *, colours: bool) -> str:
    """The explanations, most likely first; that there is none, where there is none."""
    blocks = [_explained_text(explained, width, colours) for explained in findings.explained]
    if not blocks:
        blocks = [_unknown_text(findings.unknown_end, width)]
    elif findings.unknown_end:
        end = findings.unknown_end
        blocks.append(_labelled("also", f"it ends with something not recognised, line {end.line}: {end.text}", width))
    if findings.unrelated:
        names = ", ".join(f"{one.identifier} (line {one.evidence[0].line})" for one in findings.unrelated)
        blocks.append(_labelled("also", f"recognised, and no explanation of its end: {names}", width))
    return "\n".join(blocks)


def _unknown_text(end: Evidence | None, width: int) -> str:
    text = "not recognised: nothing in it is a failure that this table knows (docs/doctor.md)\n"
    return text + (_labelled("ends", f"line {end.line}: {end.text}", width) if end else "")


def _explained_text(explained: Explained, width: int, colours: bool) -> str:
    title = "\n".join(textwrap.wrap(f"{explained.identifier}: {explained.what}", width))
    text = (f"\033[1m{title}\033[0m" if colours else title) + "\n"
    for evidence in explained.evidence:
        text += _labelled("seen", f"line {evidence.line}: {evidence.text}", width)
    if explained.occurrences > len(explained.evidence):
        text += _labelled("", f"and in {explained.occurrences - len(explained.evidence)} more lines", width)
    if explained.dump:
        text += _labelled("figures", str(explained.dump), width)
    if explained.tell_apart:
        text += _labelled("unless", explained.tell_apart.removeprefix("or "), width)
    for number, remedy in enumerate(explained.remedies, start=1):
        text += _labelled(f"try {number}", remedy, width)
    return text + _labelled("see", explained.source, width)


def _labelled(label: str, text: str, width: int) -> str:
    lines = textwrap.wrap(text, max(width - _LABEL, 40), break_long_words=False, break_on_hyphens=False) or [""]
    return "".join(f"{label if not index else '':{_LABEL}}{line}\n" for index, line in enumerate(lines))
