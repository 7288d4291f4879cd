"""What the machine is: the doctor's picture, and NVIDIA's own."""

import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

from benchmarks.evidence.command import Setting, read_json, run


def measure(setting: Setting) -> Iterator[dict[str, Any]]:
    """The doctor's rows; the table of ``nvidia-smi``, and how it counts memory while nothing runs."""
    folder = setting.scratch / "doctor"
    found = run(["train/doctor.py", f"--output_dir={folder}"], timeout_s=120)
    yield {"name": "doctor", **found, "doctor": read_json(folder / "doctor.json")}
    if shutil.which("nvidia-smi"):
        for flags in ((), ("-q", "-d", "MEMORY")):
            table = subprocess.run(["nvidia-smi", *flags], capture_output=True, text=True, check=False)
            yield {"name": " ".join(["nvidia-smi", *flags]), "output": table.stdout + table.stderr}
