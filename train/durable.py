"""Files and folders that are there as a whole or not at all, whenever the process is killed or the power fails."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def replaced(path: Path) -> Iterator[Path]:
    """Gives the name of a temporary file or folder beside `path`; what is written there then takes its place.

    The name is always the same, so that what a killed process left is removed by the next one. When the block raises,
    `path` stays as it was.

    Raises:
      OSError: it cannot be written, as on a full disk.
    """
    temporary = path.with_name(f".new-{path.name}")  # keeps the suffix, by which Keras chooses a format
    remove(temporary)
    try:
        yield temporary
        _flush(temporary)
        _take_place(temporary, path)
    finally:
        remove(temporary)


def remove(path: Path) -> None:
    """Removes a file, or a folder with all that it holds, if there is one."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _take_place(temporary: Path, path: Path) -> None:
    if path.is_dir():  # which no rename replaces, unless it is empty: for a moment there is neither
        previous = path.with_name(f".old-{path.name}")
        remove(previous)
        path.rename(previous)
        temporary.rename(path)
        remove(previous)
    else:
        temporary.replace(path)
    _flush_one(path.parent)


def _flush(path: Path) -> None:
    """Waits until the disk has it: a rename may else get there first, and name an empty file after a power failure."""
    for part in path.rglob("*") if path.is_dir() else ():
        _flush_one(part)
    _flush_one(path)


def _flush_one(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
