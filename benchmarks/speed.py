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
import statistics
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.rounds import Contestant, dump_workload, run_rounds

# Of the losses after all steps. Those on TensorFlow differ by rounding; PyTorch and JAX have an Adam whose epsilon
# counts otherwise, which moves losses by some percent after a hundred steps.
_SAME_LOSS = 0.05


def main(arguments: Sequence[str]) -> int:
    """Runs all, prints tables and writes ``speed.json``; 1 where losses differ."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed", description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder for results")
    parser.add_argument("--batches", default="64,256", help="global batches")
    parser.add_argument("--replicas", default="1,2,4,8,16,32", help="numbers of replicas")
    parser.add_argument("--steps", type=int, default=200, help="steps on the clock")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--peers", default="", help="a Python with PyTorch and JAX; without it they are left out")
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    replicas = [int(number) for number in options.replicas.split(",")]
    results = {
        batch: measure(int(batch), options, contestants(replicas, options.peers))
        for batch in options.batches.split(",")
    }
    record = {"machine": machine(), "steps": options.steps, "rounds": options.rounds, "batches": results}
    (options.out / "speed.json").write_text(json.dumps(record, indent=1) + "\n")
    for batch, rows in results.items():
        print(table(batch, rows))
    return 0 if all(same_losses(rows) for rows in results.values()) else 1


def contestants(replicas: Sequence[int], peers: str) -> list[Contestant]:
    """Who takes part: the yardsticks on one device, this project, plain MirroredStrategy, and the peers."""
    yardsticks = [
        *(Contestant("Keras fit", "keras_fit", {"steps_per_call": number}) for number in (1, 10)),
        Contestant("tf.function loop", "tf_loop"),
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
        if peers and number <= 4
        for threads in (0, 1)
    ]
    return [*yardsticks, *ours, *mirrored, *others]


def measure(batch: int, options: argparse.Namespace, taking_part: Sequence[Contestant]) -> list[dict[str, Any]]:
    """One row for each setting of each contestant."""
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
    return list(rows.values())


def median(row: dict[str, Any], key: str) -> float:
    """Of all rounds."""
    return statistics.median(run[key] for run in row["runs"])


def best_settings(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Of each contestant the setting with the best median."""
    best: dict[str, dict[str, Any]] = {}
    for row in rows:
        if row["name"] not in best or median(row, "images_per_second") > median(best[row["name"]], "images_per_second"):
            best[row["name"]] = row
    return list(best.values())


def ratios(row: dict[str, Any], rows: Sequence[dict[str, Any]]) -> list[float]:
    """To the faster of the yardsticks, round by round."""
    yardsticks = [one for one in rows if one["name"] in ("Keras fit", "tf.function loop")]
    fastest = max(yardsticks, key=lambda one: median(one, "images_per_second"))
    pairs = zip(row["runs"], fastest["runs"], strict=True)
    return [run["images_per_second"] / other["images_per_second"] for run, other in pairs]


def same_losses(rows: Sequence[dict[str, Any]]) -> bool:
    """Whether all of them have learned the same."""
    losses = [run["loss"] for row in rows for run in row["runs"]]
    return max(losses) - min(losses) <= _SAME_LOSS * max(losses)


def table(batch: str, rows: Sequence[dict[str, Any]]) -> str:
    """Markdown: the best setting of each."""
    head = [
        f"\nGlobal batch {batch}; ratio to the fastest plain single device, median of the rounds and their range.\n",
        "| | setting | images/s | ratio | first step s | wall s | end s | memory MiB | loss |",
        "| --- | --- | --: | --: | --: | --: | --: | --: | --: |",
    ]
    lines = []
    for row in best_settings(rows):
        speed = ratios(row, rows)
        lines.append(
            f"| {row['name']} | {row['setting']} | {median(row, 'images_per_second'):,.0f} "
            f"| {statistics.median(speed):.2f} ({min(speed):.2f} to {max(speed):.2f}) "
            f"| {median(row, 'first_step_s'):.1f} | {median(row, 'wall_s'):.1f} | {median(row, 'end_s'):.1f} "
            f"| {median(row, 'peak_mib'):,.0f} | {median(row, 'loss'):.4f} |"
        )
    return "\n".join([*head, *lines])


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
