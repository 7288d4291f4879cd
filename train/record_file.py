"""Finds and reads the record of a run that somebody names."""

import json
from pathlib import Path
from typing import Any

from train.errors import InputError


def record_file(path: Path) -> Path:
    """The file of a record: the one that is named, or that of the folder that is named."""
    return path / "report.json" if path.is_dir() else path


def read_record(file: Path) -> dict[str, Any]:
    """What a ``report.json`` holds.

    Raises:
      InputError: it cannot be read, or is none.
    """
    try:
        record = json.loads(file.read_text())
    except OSError as error:
        raise InputError(f"{file} cannot be read ({error.strerror}): name a report.json, or its folder") from error
    except ValueError as error:
        raise InputError(f"{file} is no JSON ({error}): name a report.json of train/main.py") from error
    if not isinstance(record, dict) or not isinstance(record.get("training"), dict):
        raise InputError(f"{file} is no record of a run: name a report.json of train/main.py")
    return record
