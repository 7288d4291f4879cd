"""The tests that need a GPU."""

from collections.abc import Iterator
from typing import Any

from benchmarks.evidence.command import Setting, run


def measure(setting: Setting) -> Iterator[dict[str, Any]]:
    """One run of pytest."""
    yield {"name": "tests/gpu", **run(["-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/gpu"], timeout_s=400)}
