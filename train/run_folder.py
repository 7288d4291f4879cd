"""The folder that holds one run: ``report.json``, ``report.html`` and ``checkpoints/``."""

import contextlib
import itertools
import json
import os
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from train.checkpoint_files import saved_steps
from train.durable import replaced
from train.errors import InputError, MachineError
from train.json_text import json_text


class RunFolder:
    """Where one run writes. It is created by `open_run_folder`."""

    def __init__(self, path: Path, *, is_new: bool = False, resumed: bool = False):
        self.path = path
        self.checkpoints = path / "checkpoints"
        self.report = path / "report.json"
        self.page = path / "report.html"
        self.resumed = resumed
        self._is_new = is_new
        self._fingerprint = self.checkpoints / "fingerprint.json"

    def write_report(self, record: dict[str, Any]) -> None:
        """Replaces ``report.json``.

        Raises:
          MachineError: the folder cannot be written any more, or the disk is full.
        """
        _replace(self.report, record)

    @property
    def summary(self) -> str:
        """Where the report is, for the end of a run."""
        beside = ", report.html beside it" if self.page.exists() else ""
        return f"report         {self.report}{beside}"

    def write_page(self, html: str) -> None:
        """Replaces ``report.html``.

        Raises:
          MachineError: as `write_report`.
        """
        _replace(self.page, html)

    def remove_page(self) -> None:
        """Removes ``report.html``, if there is one and it can be."""
        with contextlib.suppress(OSError):
            self.page.unlink(missing_ok=True)

    def read_report(self) -> dict[str, Any]:
        """What ``report.json`` holds, empty where it cannot be read."""
        return _read(self.report)

    def write_record(self, name: str, record: Mapping[str, Any]) -> Path:
        """Replaces another JSON file of the folder, such as ``plan.json``; returns where it is.

        Raises:
          MachineError: as `write_report`.
        """
        _replace(self.path / name, record)
        return self.path / name

    def write_fingerprint(self, fingerprint: Mapping[str, Any]) -> None:
        """Replaces the note on what the run is, beside the checkpoints.

        Raises:
          MachineError: as `write_report`.
        """
        self.checkpoints.mkdir(exist_ok=True)
        _replace(self._fingerprint, fingerprint)

    def read_fingerprint(self) -> dict[str, Any]:
        """What `write_fingerprint` wrote, empty where it cannot be read."""
        return _read(self._fingerprint)

    def remove_if_new(self) -> None:
        """Leaves no empty folder behind for a command that was refused; a folder of the user's stays."""
        if self._is_new:
            with contextlib.suppress(OSError):  # not empty, or gone
                self.path.rmdir()


def _replace(path: Path, content: Mapping[str, Any] | str) -> None:
    """Writes JSON, or a text as it is, as a whole, so that a reader never sees half of it."""
    text = content if isinstance(content, str) else json_text(content)
    try:
        with replaced(path) as temporary:
            temporary.write_text(text)
    except OSError as error:
        raise MachineError(
            f"{path} cannot be written ({error.strerror}): free some space, or check the folder"
        ) from error


def _read(path: Path) -> dict[str, Any]:
    try:
        record = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


def open_run_folder(output_dir: str | None, *, resume: bool) -> RunFolder:
    """Creates the folder, or finds it again.

    Args:
      output_dir: the folder; None makes a new one, ``runs/<date>-<time>`` below the working directory.
      resume: go on with the run that the folder holds.

    Raises:
      InputError: it cannot be written, holds another run, or is to be resumed and holds none.
    """
    if not output_dir:
        return RunFolder(_make_new(Path("runs")), is_new=True)
    path = Path(output_dir)
    folder = RunFolder(path, is_new=not path.exists(), resumed=resume)
    _refuse_obstacles(folder)
    steps = saved_steps(folder.checkpoints) if folder.checkpoints.is_dir() else []
    if resume and not steps:
        raise InputError(f"--resume: there is no checkpoint (ckpt-<step>.index) in {folder.checkpoints}")
    if steps and not resume:
        raise InputError(
            f"--output_dir={folder.path} holds another run of {max(steps)} steps: name another folder, or go on "
            "with that run (train/main.py --resume)"
        )
    _make_writable(folder.path)
    return folder


def _make_new(parent: Path) -> Path:
    """A folder that did not exist before: several runs may begin in the same second."""
    stem = datetime.now().strftime("%Y%m%d-%H%M%S")
    names = itertools.chain([stem], (f"{stem}-{number}" for number in itertools.count(2)))
    with _explained(parent):
        parent.mkdir(exist_ok=True)
        while True:
            with contextlib.suppress(FileExistsError):
                path = parent / next(names)
                path.mkdir()
                return path


def _refuse_obstacles(folder: RunFolder) -> None:
    for path, wanted, is_wrong in (
        (folder.report, "file", folder.report.is_dir()),
        (folder.page, "file", folder.page.is_dir()),
        (folder.checkpoints, "folder", folder.checkpoints.exists() and not folder.checkpoints.is_dir()),
    ):
        if is_wrong:
            raise InputError(
                f"--output_dir={folder.path}: a {wanted} is to be written to {path}, which is none: "
                "move it away, or name another folder"
            )


def _make_writable(path: Path) -> None:
    with _explained(path):
        path.mkdir(parents=True, exist_ok=True)
        probe = path / f".probe-{os.getpid()}"
        probe.touch()
        probe.unlink()


@contextlib.contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InputError(f"--output_dir={path} cannot be written ({error.strerror}): name another folder") from error
