"""Out of memory on purpose: what TensorFlow does, what a run says, and with which exit code it ends."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from benchmarks.evidence.command import ROOT, Setting, run, run_main

_TOO_SMALL_MIB = 8
_LEFT_MIB = 1200
_NEEDS_GPU = "one process of a CPU cannot take memory from another's limit"


def measure(setting: Setting) -> Iterator[dict[str, Any]]:
    """A limit that is too small, with and without the check of memory; then another process that holds the GPU."""
    flags = ["--virtual_gpus=2", f"--memory_limit={_TOO_SMALL_MIB}", "--steps=20"]
    if setting.device == "cpu":
        flags.append("--isolation=process")  # else nothing holds a CPU to the limit
    for verify in ("off", "memory"):
        found = run_main(setting, f"small-{verify}", *flags, f"--verify={verify}", timeout_s=150)
        yield {"name": f"limit too small, --verify={verify}", **found}
    if setting.device == "cpu":
        yield {"name": "another process holds the memory", "skipped": _NEEDS_GPU}
        return
    with _memory_held():
        flags = ["--virtual_gpus=2", "--memory_limit=1024", "--steps=20", "--verify=off"]
        yield {"name": "another process holds the memory", **run_main(setting, "held", *flags, timeout_s=150)}
        plain = run(["-m", "benchmarks.evidence.plain_training"], timeout_s=100)
        yield {"name": "another process holds the memory, plain TensorFlow", **plain}
    log = setting.scratch / "plain.log"
    log.write_text(plain["output"])
    yield {"name": "the doctor on that log", **run(["train/doctor.py", f"--log={log}"], timeout_s=60)}


@contextmanager
def _memory_held() -> Iterator[None]:
    """Another process takes all of the GPU's free memory but `_LEFT_MIB`."""
    holder = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.evidence.memory_holder", str(_LEFT_MIB)],
        cwd=ROOT,
        env=os.environ,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        if holder.stdout is None or "holding" not in holder.stdout.readline():
            raise RuntimeError("the process that was to hold the GPU's memory ended")
        yield
    finally:
        holder.kill()
        holder.wait()
