"""Where in the user's own files something happened: `file:line in function: code`."""

import functools
import inspect
import linecache
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tensorflow.python.util import tf_stack

_LIBRARIES = (
    str(Path(__file__).resolve().parent),  # this one
    str(Path(linecache.__file__).resolve().parent),  # Python's own
)
_CALLERS = tuple(
    str(Path(__file__).resolve().parent / "equivalence_check" / name) for name in ("runs.py", "references.py")
)
"""The modules that call the user's code: what lies further out is who called `verify`."""
_INSTALLED = ("site-packages", "dist-packages")


def user_line() -> str:
    """The innermost line of the user's code that led here; autograph's generated code is mapped to its source."""
    return _innermost(tf_stack.extract_stack())


def made_at(tensor: Any) -> str:
    """The user's line that made a symbolic tensor; empty where that is not known."""
    operation = getattr(tensor, "op", None)
    return "" if operation is None else _innermost(operation.traceback)


def defined_at(function: Any) -> str:
    """Where a function of the user's begins, below what was wrapped around it; empty for what is no Python function."""
    while isinstance(function, functools.partial):
        function = function.func
    code = getattr(inspect.unwrap(function), "__code__", None)
    return "" if code is None else f"{shown(code.co_filename)}:{code.co_firstlineno} in {code.co_name}"


def _innermost(frames: Iterable[Any]) -> str:
    for frame in reversed(list(frames)):
        if frame.filename in _CALLERS:
            break
        if is_users(frame.filename):
            code = linecache.getline(frame.filename, frame.lineno).strip()
            return f"{shown(frame.filename)}:{frame.lineno} in {frame.name}" + (f": {code}" if code else "")
    return ""


def is_users(filename: str) -> bool:
    """Whether it is no file of this library's, of Python's or of an installed package, nor made by autograph."""
    if filename.startswith("<") or "__autograph_generated" in filename:
        return False
    path = Path(filename).resolve()
    return not str(path).startswith(_LIBRARIES) and not any(part in path.parts for part in _INSTALLED)


def shown(filename: str) -> str:
    """Relative where that is shorter to read."""
    path = Path(filename).resolve()
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
