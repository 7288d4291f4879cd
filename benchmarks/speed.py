"""The conv net, trained by this project and by others: the same batches, weights and steps, side by side.

    python -m benchmarks.speed --out=FOLDER [--batches=64,256] [--rounds=5] [--peers=PYTHON]

Every contestant is a process of its own, started anew in each round, in alternating order. What is compared is the
median of its steady images a second. Of contestants with several settings the best one counts. ``--peers`` names the
Python that has PyTorch and JAX, from requirements-bench.txt.
"""

import argparse
import json
import os
import platform
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.rounds import Contestant, dump_workload, run_rounds
from benchmarks.speed_picture import save_picture
from benchmarks.speed_table import same_losses, table


def main(arguments: Sequence[str]) -> int:
    """Runs all, prints tables, writes ``speed.json`` and ``speed.svg``; 1 where losses differ."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed", description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder for results")
    parser.add_argument("--batches", default="64,256", help="global batches")
    parser.add_argument("--replicas", default="1,2,4,8,16,32", help="numbers of replicas")
    parser.add_argument("--steps", type=int, default=200, help="steps on the clock")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--peers", default="", help="a Python with PyTorch and JAX; without it they are left out")
    parser.add_argument("--onednn", default="0,1", help="yardsticks: 1 with TF_ENABLE_ONEDNN_OPTS=1, 0 without")
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    replicas, onednn = ([int(number) for number in text.split(",")] for text in (options.replicas, options.onednn))
    results = {
        batch: measure(int(batch), options, contestants(replicas, options.peers, onednn))
        for batch in options.batches.split(",")
    }
    record = {"machine": machine(), "steps": options.steps, "rounds": options.rounds, "batches": results}
    (options.out / "speed.json").write_text(json.dumps(record, indent=1) + "\n")
    save_picture(options.out / "speed.svg", results)
    for batch, rows in results.items():
        print(table(batch, rows))
    apart = [batch for batch, rows in results.items() if not same_losses(rows)]
    for batch in apart:
        print(f"batch {batch}: losses differ, so not all have done the same; see the last column", file=sys.stderr)
    return 1 if apart else 0


def contestants(replicas: Sequence[int], peers: str, onednn_choices: Sequence[int]) -> list[Contestant]:
    """Who takes part: the yardsticks on one device, this project, plain MirroredStrategy, and the peers."""
    yardsticks = [
        one
        for onednn in onednn_choices
        for suffix in [", oneDNN" * onednn]
        for one in (
            Contestant(f"Keras fit{suffix}", "keras_fit", {"steps_per_call": 1, "onednn": onednn}),
            Contestant(f"Keras fit{suffix}", "keras_fit", {"steps_per_call": 10, "onednn": onednn}),
            Contestant(f"tf.function loop{suffix}", "tf_loop", {"onednn": onednn}),
        )
    ]
    ours = [Contestant(f"this project, N={number}", "ours", {"replicas": number}) for number in replicas]
    several = [number for number in replicas if 1 < number <= 4]
    mirrored = [
        Contestant(f"MirroredStrategy fit, N={number}", "keras_fit", {"replicas": number}) for number in several
    ]
    others = [
        Contestant(f"{name}, N={number}", module, {"replicas": number, "threads": threads}, peers)
        for name, module in (("PyTorch DDP gloo", "torch_ddp"), ("JAX host devices", "jax_devices"))
        for number in replicas
        if peers and 1 < number <= 4
        for threads in (0, 1)
    ]
    return [*yardsticks, *ours, *mirrored, *others]


def measure(batch: int, options: argparse.Namespace, taking_part: Sequence[Contestant]) -> list[dict[str, Any]]:
    """One row for each setting of each contestant that has come through all rounds."""
    workload = dump_workload(options.out, batch, options.steps)
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for number, contestant, result in run_rounds(taking_part, workload, options.rounds):
        print(
            f"batch {batch} round {number + 1}: {contestant.name} ({contestant.setting})", file=sys.stderr, flush=True
        )
        row = rows.setdefault(
            (contestant.name, contestant.setting), {"name": contestant.name, "setting": contestant.setting, "runs": []}
        )
        row["runs"].append(result)
    return [row for row in rows.values() if len(row["runs"]) == options.rounds]


def machine() -> dict[str, Any]:
    """What it was measured on, and when."""
    info = Path("/proc/cpuinfo")
    models = [line.partition(": ")[2] for line in info.read_text().splitlines() if line.startswith("model name")]
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "processor": models[0] if models else platform.processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
