"""When a stream gets colours, and when a picture that is drawn over and over; the one rule for all scripts."""

import os
import shutil
from collections.abc import Mapping
from typing import TextIO

_NO_TERMINALS = ("dumb", "unknown")
_PIPE_COLUMNS = 80


def is_screen(stream: TextIO, environment: Mapping[str, str] = os.environ) -> bool:
    """Whether lines can be drawn again: on a terminal that knows how to move its cursor."""
    return stream.isatty() and environment.get("TERM", "").lower() not in _NO_TERMINALS


def wants_colours(stream: TextIO, environment: Mapping[str, str] = os.environ) -> bool:
    """On a terminal, or where ``FORCE_COLOR`` is set (force-color.org); never where ``NO_COLOR`` is (no-color.org)."""
    if environment.get("NO_COLOR"):
        return False
    return bool(environment.get("FORCE_COLOR")) or is_screen(stream, environment)


def columns_of(stream: TextIO, elsewhere: int = _PIPE_COLUMNS) -> int:
    """The width of the terminal; `elsewhere` where there is none."""
    return shutil.get_terminal_size().columns if stream.isatty() else elsewhere
