"""One line of the doctor's list."""

import enum
from dataclasses import dataclass


class Status(enum.StrEnum):
    """What a line means."""

    OK = "ok"
    WARNING = "warning"  # works, and may surprise
    PROBLEM = "problem"  # does not work, or not as the rest of this repository expects
    SKIPPED = "skipped"  # could not be looked at; says why


@dataclass(frozen=True)
class Row:
    """What was looked at, what was found, and what to do about it; a row that is not ok has a remedy or a reason."""

    name: str
    status: Status
    found: str
    remedy: str = ""


def version_tuple(text: str) -> tuple[int, ...]:
    """``"2.21.0rc1"`` as (2, 21, 0): what is not a number ends it."""
    numbers = []
    for part in text.split("."):
        digits = part[: len(part) - len(part.lstrip("0123456789"))]
        if not digits:
            break
        numbers.append(int(digits))
    return tuple(numbers)
