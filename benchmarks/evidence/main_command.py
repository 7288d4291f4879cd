"""The main command: verification and training on N virtual devices."""

from collections.abc import Iterator
from typing import Any

from benchmarks.evidence.command import Setting, run_main

SPLITS = ((2, 1024), (2, None), (4, 1024), (8, 1024))


def measure(setting: Setting) -> Iterator[dict[str, Any]]:
    """The command of the README in full; the default limit, four and eight replicas with fewer steps."""
    for number, (replicas, limit) in enumerate(SPLITS):
        name = f"{replicas} x {limit or 'default'}"
        flags = [f"--virtual_gpus={replicas}", *([f"--memory_limit={limit}"] if limit else [])]
        flags += [f"--steps={setting.steps}"] if number else []
        yield {"name": name, **run_main(setting, f"main-{number}", *flags, timeout_s=200)}
