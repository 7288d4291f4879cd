"""The folder that holds one run: ``report.json`` and ``checkpoints/``."""

import contextlib
import json
import math
import os
from datetime import datetime
from pathlib import Path
from typing import Any

from train.checkpoint_files import saved_steps
from train.errors import InputError


class RunFolder:
    """Where one run writes. It is created by `open_run_folder`."""

    def __init__(self, path: Path):
        self.path = path
        self._is_new = not path.exists()
        self.checkpoints = path / "checkpoints"
        self.report = path / "report.json"

    def write_report(self, record: dict[str, Any]) -> None:
        """Replaces ``report.json`` as a whole, so that a reader never sees half of one."""
        temporary = self.report.with_suffix(".json.tmp")
        temporary.write_text(json.dumps(_strict(record), indent=2, allow_nan=False) + "\n")
        temporary.replace(self.report)

    def remove_if_new(self) -> None:
        """Leaves no empty folder behind for a command that was refused; a folder of the user's stays."""
        if self._is_new:
            with contextlib.suppress(OSError):  # not empty, or gone
                self.path.rmdir()


def _strict(value: Any) -> Any:
    """`value` with None in place of NaN and infinities, which JSON does not have."""
    if isinstance(value, dict):
        return {key: _strict(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_strict(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def open_run_folder(output_dir: str | None, *, resume: bool) -> RunFolder:
    """Creates the folder, or finds it again.

    Args:
      output_dir: the folder; None makes a new one, ``runs/<date>-<time>`` below the working directory.
      resume: go on with the run that the folder holds.

    Raises:
      InputError: it cannot be written, holds another run, or is to be resumed and holds none.
    """
    folder = RunFolder(Path(output_dir) if output_dir else _new_name())
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


def _new_name() -> Path:
    stem = datetime.now().strftime("%Y%m%d-%H%M%S")
    names = (Path("runs") / (stem + suffix) for suffix in ("", *(f"-{number}" for number in range(2, 1000))))
    return next(name for name in names if not name.exists())


def _make_writable(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
        probe = path / f".probe-{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise InputError(f"--output_dir={path} cannot be written ({error.strerror}): name another folder") from error
