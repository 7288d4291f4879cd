"""The predictions of `train/scaling.py` against a real cluster of processes on this machine; Markdown on stdout.

    python -m benchmarks.scaling_check [--replicas=2,4] [--rounds=5]

Each process has one replica. The link between them is fitted to all-reduces of several sizes; one replica's step is
timed while all others compute as well, each for itself, since they share the cores. From these the step of all together
is predicted, and then measured. Hierarchical all-reduces, other links and overlap cannot be checked on one machine.
"""

import argparse
import os
import statistics
import sys
from collections.abc import Sequence
from typing import Any

from distribute.cluster import run_on_this_machine
from train.scaling_model import Link, predict, ring_s

_COLUMNS = (
    "replicas",
    "latency µs",
    "GB/s",
    "all-reduces",
    "worth, one by one",
    "one alone ms",
    "all-reduces ms",
    "predicted ms",
    "measured ms",
    "error",
)


def main(arguments: Sequence[str]) -> int:
    """Prints a row for each number of replicas; returns 0."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scaling_check", description=__doc__.splitlines()[0])
    parser.add_argument("--replicas", default="2,4", help="numbers of processes")
    parser.add_argument("--rows", type=int, default=64, help="examples of each replica")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args(arguments)
    print(f"| {' | '.join(_COLUMNS)} |")
    print("| --: " * len(_COLUMNS) + "|")
    for replicas in map(int, options.replicas.split(",")):
        print(row(replicas, [run_once(replicas, options.rows) for _ in range(options.rounds)]), flush=True)
    return 0


def run_once(replicas: int, rows: int) -> dict[str, Any]:
    """What the first process measured."""
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    arguments = {"num_processes": replicas, "rows": rows}
    first, *_ = run_on_this_machine("benchmarks.scaling_worker:measure", arguments, [environment] * replicas)
    return first


def row(replicas: int, runs: Sequence[dict[str, Any]]) -> str:
    """Prediction and measurement, each the median of all rounds."""
    link = Link("loopback", median(runs, "latency_s"), median(runs, "bandwidth"))
    alone, measured = median(runs, "alone_s"), median(runs, "step_s")
    worth = median(runs, "one_after_another")
    all_reduce = ring_s(runs[0]["gradient_bytes"], replicas, link, calls=worth)
    predicted = predict(alone, all_reduce, replicas, overlap=False).step_s
    cells = (
        f"{replicas}",
        f"{link.latency_s * 1e6:.0f}",
        f"{link.bandwidth / 1e9:.2f}",
        f"{runs[0]['all_reduces']}",
        f"{worth:.1f}",
        *(f"{seconds * 1e3:.1f}" for seconds in (alone, all_reduce, predicted, measured)),
        f"{predicted / measured - 1:+.0%}",
    )
    return f"| {' | '.join(cells)} |"


def median(runs: Sequence[dict[str, Any]], key: str) -> float:
    """Of all rounds."""
    return statistics.median(run[key] for run in runs)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
