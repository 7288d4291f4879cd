"""Asks a process of its own, which may hang, or die of what it looks at."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Answer:
    """How a child ended.

    Attributes:
      returncode: its exit code, or minus the number of the signal that ended it; None where it was not done in time.
      said: the JSON object in the last line of its output; empty where there is none.
      log: its standard error.
    """

    returncode: int | None
    said: Mapping[str, Any] = field(default_factory=dict)
    log: str = ""


def ask(script: Path, *arguments: str, timeout_s: float) -> Answer:
    """Runs a script of this folder with this process' environment, and waits `timeout_s` seconds for it at most."""
    # -P: the child's own folder must not come first on the path.
    command = [sys.executable, "-P", str(script), *arguments]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "0"}  # the log is read, not shown
    try:
        child = subprocess.run(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Answer(None)
    return Answer(
        child.returncode,
        _last_object(child.stdout.decode(errors="replace")),
        child.stderr.decode(errors="replace"),
    )


def _last_object(output: str) -> dict[str, Any]:
    """What the last line holds; a package may print before."""
    lines = output.strip().splitlines()
    try:
        said = json.loads(lines[-1]) if lines else {}
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}
