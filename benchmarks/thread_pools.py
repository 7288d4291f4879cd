"""This project's training under several sizes of TensorFlow's thread pools; Markdown on standard output.

    python -m benchmarks.thread_pools [--replicas=1,2,4,8] [--batch=64] [--rounds=5]

What ``distribute/threads.py`` chooses is the row that says so; ``default`` leaves both pools to TensorFlow.
"""

import argparse
import os
import statistics
import sys
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from benchmarks.rounds import Contestant, dump_workload, run_rounds


def main(arguments: Sequence[str]) -> int:
    """Prints a table for each number of replicas; returns 0."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.thread_pools", description=__doc__.splitlines()[0])
    parser.add_argument("--replicas", default="1,2,4,8")
    parser.add_argument("--batch", type=int, default=64, help="global batch")
    parser.add_argument("--steps", type=int, default=100, help="steps on the clock")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args(arguments)
    print(f"| replicas, batch {options.batch} | intra_op, inter_op | images/s, median | lowest to highest |")
    print("| --: | --- | --: | --- |")
    with tempfile.TemporaryDirectory() as folder:
        workload = dump_workload(Path(folder), options.batch, options.steps)
        for replicas in map(int, options.replicas.split(",")):
            speeds = defaultdict(list)
            for _, contestant, result in run_rounds(settings(replicas), workload, options.rounds):
                speeds[contestant.name].append(result["images_per_second"])
            for name, values in speeds.items():
                median = statistics.median(values)
                print(f"| {replicas} | {name} | {median:,.0f} | {min(values):,.0f} to {max(values):,.0f} |", flush=True)
    return 0


def settings(replicas: int) -> list[Contestant]:
    """What is chosen, what TensorFlow takes, and what lies between."""
    cores = len(os.sched_getaffinity(0))
    pools = {"default": (0, 0), "1, cores": (1, cores), "1, replicas": (1, replicas), "cores, 1": (cores, 1)}
    chosen = Contestant("chosen here", "ours", {"replicas": replicas})
    return [
        chosen,
        *(
            Contestant(name, "ours", {"replicas": replicas, "intra_op": intra_op, "inter_op": inter_op})
            for name, (intra_op, inter_op) in pools.items()
        ),
    ]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
