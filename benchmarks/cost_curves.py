"""What a run costs against the number of replicas, the global batch, and the size of the model.

    python -m benchmarks.cost_curves --out=FOLDER [--rounds=2] [--sweeps=replicas,batch,parameters] [--replicas=1,2]

Each point is two commands: `train/main.py --verify=off --steps=…` for images a second, the seconds until the step is
traced and compiled, and the resident memory of the process; `--verify=gradients --steps=0` for the seconds that
verification takes. Rounds are interleaved: all points once, then all again, the other way round. What was measured
stands in ``cost_curves.json`` after each point, and as pictures beside it; a record that is there already is added to.
"""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.cost_picture import save_pictures
from benchmarks.phase_names import CHECKING_LOOP, TRACING, VERIFYING
from benchmarks.phases import run_clocked
from benchmarks.speed import machine
from benchmarks.wide_net import UNITS_VARIABLE


@dataclass(frozen=True)
class Point:
    """One setting of a sweep.

    Attributes:
      sweep: ``replicas``, ``batch`` or ``parameters``: what is varied.
      replicas: N.
      batch: the global batch.
      units: of the hidden layer; 64 is the conv net of models/conv.py.
      steps: of training; enough for the speed to be steady.
    """

    sweep: str
    replicas: int
    batch: int
    units: int = 64
    steps: int = 100

    @property
    def parameters(self) -> int:
        """Of the model, for the digits' 28×28×1 images and 10 classes."""
        convolutions = 55_744
        return convolutions + 576 * self.units + self.units + 10 * self.units + 10


SWEEPS = {
    "replicas": [
        Point("replicas", replicas, batch, steps=60) for batch in (64, 256) for replicas in (1, 2, 4, 8, 16, 32)
    ],
    "batch": [
        Point("batch", replicas, batch, steps=max(30, min(200, 10_000 // batch)))
        for replicas in (1, 2, 8)
        for batch in (8, 64, 256, 1024)
    ],
    "parameters": [
        Point("parameters", replicas, 64, units, steps=30)
        for replicas in (1, 2, 8)
        for units in (64, 2_000, 10_000, 43_000)
    ],
}


def main(arguments: Sequence[str]) -> int:
    """Measures all points in rounds, and writes the record and the pictures; returns 0."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cost_curves", description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder for the record and the pictures")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--sweeps", default=",".join(SWEEPS), help="what is varied")
    parser.add_argument("--replicas", default="1,2,4,8,16,32", help="points with other numbers are left out")
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    replicas = [int(number) for number in options.replicas.split(",")]
    points = [point for name in options.sweeps.split(",") for point in SWEEPS[name] if point.replicas in replicas]
    path = options.out / "cost_curves.json"
    record: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {"machine": machine(), "points": []}
    for number in range(options.rounds):
        for point in points if number % 2 == 0 else points[::-1]:
            measured = {"round": number, **asdict(point), "parameters": point.parameters, **measure(point)}
            print(json.dumps(measured), file=sys.stderr, flush=True)
            record["points"].append(measured)
            path.write_text(json.dumps(record, indent=1) + "\n")
    save_pictures(options.out, record["points"])
    return 0


def measure(point: Point) -> dict[str, float | None]:
    """Images a second, seconds of tracing and of verification, and resident memory in MiB.

    None for a verification that failed: it holds many copies of a model, and a large one fills the machine's memory.
    """
    os.environ[UNITS_VARIABLE] = str(point.units)
    flags = [
        "--device=cpu",
        "--config=benchmarks.wide_net",
        f"--virtual_gpus={point.replicas}",
        f"--global_batch_size={point.batch}",
    ]
    trained = run_clocked([*flags, "--verify=off", f"--steps={point.steps}"])
    try:
        verified = run_clocked([*flags, "--verify=gradients", "--steps=0"]).seconds
    except RuntimeError as error:
        print(error, file=sys.stderr, flush=True)
        verified = {}
    return {
        "images_per_second": trained.report["training"]["examples_per_second"],
        "tracing_s": trained.seconds[TRACING],
        "verification_s": verified[VERIFYING] + verified[CHECKING_LOOP] if verified else None,
        "peak_mib": trained.peak_mib,
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
