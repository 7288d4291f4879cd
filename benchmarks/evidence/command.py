"""Runs one command of the evidence in a process group of its own, with a limit of time."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
_KEPT_CHARACTERS = 3000


@dataclass(frozen=True)
class Setting:
    """Where the evidence is taken.

    Attributes:
      device: ``gpu`` or ``cpu``.
      scratch: a folder for what is not kept.
      steps: of a training run.
    """

    device: str
    scratch: Path
    steps: int = 200


def run(arguments: Sequence[str], *, timeout_s: float, environment: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Runs Python with `arguments` from the repository's root.

    Returns:
      ``command``; ``exit`` (None where it was killed at its time limit); ``seconds``; ``output``, the end of what it
      printed; and ``environment``, what was set beside the inherited variables.
    """
    begin = time.perf_counter()
    with tempfile.TemporaryFile() as file:
        process = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=ROOT,
            stdout=file,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(environment or {})},
            start_new_session=True,
        )
        try:
            exit_code: int | None = process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            exit_code = None
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        file.seek(0)
        # Files of evidence are published: they name neither where the repository lies nor where its Python does.
        output = file.read().decode(errors="replace").replace(sys.executable, "python").replace(f"{ROOT}/", "")
    return {
        "command": " ".join(["python", *arguments]),
        "environment": dict(environment or {}),
        "exit": exit_code,
        "seconds": round(time.perf_counter() - begin, 1),
        "output": output[-_KEPT_CHARACTERS:],
    }


def run_main(
    setting: Setting, name: str, *flags: str, timeout_s: float, environment: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Runs ``train/main.py`` and adds what its ``report.json`` says, without what is long."""
    folder = setting.scratch / name
    arguments = ["train/main.py", f"--device={setting.device}", *flags, f"--output_dir={folder}"]
    found = run(arguments, timeout_s=timeout_s, environment=environment)
    return {**found, "report": read_json(folder / "report.json", without=("variables", "setup", "causes"))}


def read_json(path: Path, *, without: Sequence[str] = ()) -> dict[str, Any]:
    """The record in a file, without some of its entries; empty where the command left none."""
    if not path.exists():
        return {}
    record = json.loads(path.read_text())
    record.get("training", {}).pop("weights", None)
    return {name: value for name, value in record.items() if name not in without}
