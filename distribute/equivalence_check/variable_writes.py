"""Which line of the user's writes a variable."""

import contextlib
from collections.abc import Iterator
from typing import Any

import tensorflow as tf

from ..source_lines import user_line
from .observe import Recorder
from .patching import defining_class, patched

_WRITES = ("assign", "assign_add", "assign_sub")


@contextlib.contextmanager
def noted(recorder: Recorder) -> Iterator[None]:
    """Inside, the first write of each variable that is traced is noted with the user's line."""

    def noting(original: Any) -> Any:
        @tf.autograph.experimental.do_not_convert
        def write(variable: Any, *args: Any, **kwargs: Any) -> Any:
            recorder.note(_kind(variable), user_line)
            return original(variable, *args, **kwargs)

        return write

    owner = defining_class(type(tf.Variable(0.0)), "assign")
    with contextlib.ExitStack() as stack:
        for name in _WRITES:
            stack.enter_context(patched(owner, name, noting))
        yield


def place(recorder: Recorder, variable: Any) -> str:
    """The user's line that writes a variable; empty where none was seen."""
    return recorder.places.get(_kind(variable), "")


def _kind(variable: Any) -> str:
    return f"write of variable {id(variable)}"
