"""The user's own code behind a target: where it is looked for, and what is told of it when it fails."""

import contextlib
import re
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import distribute
import train
from distribute.equivalence_check.blame import raised_where
from distribute.out_of_memory import is_out_of_memory
from distribute.source_lines import is_users, shown
from train.errors import InputError, ScriptError
from train.messages import first_line

_OURS = [Path(package.__file__ or "").parent for package in (distribute, train)]

# How a traceback in a text writes a place: that of another process, or of the line that made an operation of a graph.
_PLACE = re.compile(r'File "(?P<file>[^"]+)", line (?P<line>\d+)')


def look_in_working_directory() -> None:
    """Puts the working directory first on `sys.path`, as ``python -m`` does; children of the memory check get it too.

    The folder of a script that was run by its path leaves: a user's ``data.py`` or ``step.py`` is to be found, and not
    the file of that name beside the script. To be called when everything of ours is imported, since a user may well
    have a package ``train`` or ``models``.
    """
    scripts = {str(folder) for folder in _OURS}
    sys.path[:] = [str(Path.cwd()), *(folder for folder in sys.path if folder not in scripts)]


@contextlib.contextmanager
def told(what: str) -> Iterator[None]:
    """Makes one message of what the user's code raises inside; `what` are the flags that named it.

    Raises:
      InputError: it raised something, other than running out of memory, which is not its fault.
    """
    try:
        yield
    except ScriptError:
        raise
    except (Exception, SystemExit) as error:  # foreign code may raise anything, and scripts leave when imported
        if is_out_of_memory(error):
            raise
        raise InputError(describe_failure(what, error)) from error


def describe_failure(what: str, error: BaseException) -> str:
    """What failed: type, first line and place of the exception, and where `verify` saw it; ours say that themselves."""
    text = first_line(error)
    if not _raised_by_us(error):
        name = type(error).__name__
        text = f"{what}: {name}" if text == name else f"{what}: {name}: {text}"
    place = _place(error)
    located = f"{text} ({place})" if place else text
    return ", ".join(filter(None, (located, raised_where(error))))


def _raised_by_us(error: BaseException) -> bool:
    frames = traceback.extract_tb(error.__traceback__)
    return bool(frames) and _is_ours(frames[-1].filename)


def _place(error: BaseException) -> str | None:
    """The innermost line of the user's code that had to do with it, as ``file:line``; None where there is none."""
    metadata: Any = getattr(error, "ag_error_metadata", None)  # autograph runs a copy, and keeps the way back
    mapped = [(frame.filename, frame.lineno) for frame in reversed(metadata.translated_stack)] if metadata else []
    raised = [(frame.filename, frame.lineno) for frame in traceback.extract_tb(error.__traceback__)]
    written = [(match["file"], int(match["line"])) for match in _PLACE.finditer(str(error))]
    for places in (mapped, raised, written):
        users = [place for place in places if _is_users(place[0])]
        if users:
            file, line = users[-1]
            return f"{shown(file)}:{line}"
    return None


def _is_users(file: str) -> bool:
    return Path(file).is_file() and is_users(file) and not _is_ours(file)


def _is_ours(file: str) -> bool:
    return any(Path(file).is_relative_to(folder) for folder in _OURS)
