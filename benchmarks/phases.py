"""Where the time of a whole training run goes: the seconds of each phase; Markdown on standard output.

    python -m benchmarks.phases [--rounds=3] [flags of train/main.py]

Without flags for `train/main.py` it is what `make train` runs.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.rounds import ROOT, PeakMemory

MAKE_TRAIN = ("--virtual_gpus=2", "--memory_limit=1024")


@dataclass(frozen=True)
class ClockedRun:
    """A run of `train/main.py`.

    Attributes:
      seconds: of each phase, in the order in which they first ended.
      wall_s: from the start of the process to its end.
      peak_mib: resident memory of the process and its children together, at its highest.
      report: what ``report.json`` holds.
    """

    seconds: dict[str, float]
    wall_s: float
    peak_mib: float
    report: dict[str, Any]


def run_clocked(flags: Sequence[str]) -> ClockedRun:
    """Runs `train/main.py` in a process with clocks.

    Raises:
      RuntimeError: it did not end with exit code 0.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        command = [sys.executable, "-m", "benchmarks.phase_child", str(folder / "phases.json"), *flags]
        begin = time.perf_counter()
        process = subprocess.Popen(
            [*command, f"--output_dir={folder / 'run'}"],
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        peak = PeakMemory(process.pid)
        _, errors = process.communicate()
        end = time.perf_counter()
        peak_mib = peak.stop()
        if process.returncode:
            raise RuntimeError(f"train/main.py {' '.join(flags)} ended with {process.returncode}:\n{errors[-2000:]}")
        clocked = json.loads((folder / "phases.json").read_text())
        report = json.loads((folder / "run" / "report.json").read_text())
    seconds = {**clocked["seconds"], "leaving": end - clocked["ended"]}
    seconds["all else"] += end - begin - sum(seconds.values())  # Python itself, before the first clock
    return ClockedRun(seconds, end - begin, peak_mib, report)


def table(runs: Sequence[ClockedRun]) -> str:
    """Markdown: the median of each phase, the longest first, and its share of the whole."""
    names = dict.fromkeys(name for run in runs for name in run.seconds)
    medians = {name: statistics.median(run.seconds.get(name, 0.0) for run in runs) for name in names}
    whole = statistics.median(run.wall_s for run in runs)
    lines = ["| phase | seconds | share |", "| --- | --: | --: |"]
    for name, seconds in sorted(medians.items(), key=lambda item: -item[1]):
        lines.append(f"| {name} | {seconds:.1f} | {seconds / whole:.0%} |")
    return "\n".join([*lines, f"| the whole command | {whole:.1f} | |"])


def main(arguments: Sequence[str]) -> int:
    """Prints the table; returns 0."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.phases", description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    options, flags = parser.parse_known_args(arguments)
    print(table([run_clocked(flags or MAKE_TRAIN) for _ in range(options.rounds)]))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
