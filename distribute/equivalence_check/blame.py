"""Exceptions of the user's code go to the user unchanged, with a note that says where they were raised."""

import contextlib
from collections.abc import Iterator

_NOTED = "verification: "


@contextlib.contextmanager
def blamed(where: str) -> Iterator[None]:
    """Adds a note to an exception that is raised inside; what autograph wrapped is unwrapped."""
    try:
        yield
    except Exception as error:
        original = _unwrapped(error)
        if not raised_where(original):
            original.add_note(f"{_NOTED}raised {where}; nothing was compared there")
        if original is error:
            raise
        raise original from None


def raised_where(error: BaseException) -> str:
    """What `blamed` noted, in words that follow on a message; empty where it noted nothing."""
    notes = (note for note in getattr(error, "__notes__", ()) if note.startswith(_NOTED))
    return next(notes, "").removeprefix(_NOTED).partition(";")[0]


def _unwrapped(error: BaseException) -> BaseException:
    """Autograph raises a copy of the user's exception with a long text; the original is its context."""
    while True:
        inner = error.__cause__ or error.__context__
        if inner is None or not hasattr(inner, "ag_error_metadata"):
            return error
        error = inner
