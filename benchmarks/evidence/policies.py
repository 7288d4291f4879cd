"""TensorFlow's memory policies, side by side: the allocator's peak, the process by NVML, and what lies between."""

from collections.abc import Iterator
from typing import Any

from benchmarks.evidence.command import Setting, read_json, run


def measure(setting: Setting) -> Iterator[dict[str, Any]]:
    """The table of ``train/policies.py``, and its rows without the samples."""
    folder = setting.scratch / "policies"
    flags = ["--virtual_gpus=2", "--limits=1024", f"--steps={setting.steps}", f"--device={setting.device}"]
    found = run(["train/policies.py", *flags, f"--output_dir={folder}"], timeout_s=240)
    rows = read_json(folder / "policies.json").get("policies", [])
    for row in rows:
        row.get("memory", {}).pop("samples", None)
    yield {"name": "policies", **found, "policies": rows}
