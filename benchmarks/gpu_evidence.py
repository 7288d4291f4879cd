"""Everything that only a real GPU can show, in one command, saved as it goes.

    python -m benchmarks.gpu_evidence --out=FOLDER [--parts=main,precision] [--warm_up]

Each part writes one file, anew after each of its rows, so that a machine that is taken away leaves what was measured
until then. Each command of a part is a process group of its own with its own limit of time. A GPU newer than
TensorFlow's kernels compiles them at first use, for minutes: ``--warm_up`` fills CUDA's cache with one small run before
the clock starts. Without a GPU every file says so; ``--device=cpu`` runs the parts on CPU, which proves nothing about
GPUs and shows that they work.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.evidence import (
    gpu_tests,
    machine,
    main_command,
    out_of_memory,
    plan,
    policies,
    precision,
    throughput,
)
from benchmarks.evidence.command import Setting, run, run_main

# Most important first. Eight, since some machines give no more than eight files back.
PARTS: dict[str, Callable[[Setting], Iterator[dict[str, Any]]]] = {
    "machine": machine.measure,
    "main": main_command.measure,
    "precision": precision.measure,
    "policies": policies.measure,
    "out_of_memory": out_of_memory.measure,
    "plan": plan.measure,
    "throughput": throughput.measure,
    "tests": gpu_tests.measure,
}
_LISTS_GPUS = "import sys, tensorflow as tf; sys.exit(not tf.config.list_physical_devices('GPU'))"
_NO_GPU = "TensorFlow lists no GPU on this machine"


def main(arguments: Sequence[str]) -> int:
    """Runs the parts; returns 0 whatever they found: the files tell."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu_evidence", description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder for the files")
    parser.add_argument("--parts", default=",".join(PARTS), help=f"of {', '.join(PARTS)}")
    parser.add_argument("--device", choices=("gpu", "cpu"), default="gpu")
    parser.add_argument("--steps", type=int, default=200, help="of a training run")
    parser.add_argument("--warm_up", action="store_true", help="one small run first, off the clock")
    options = parser.parse_args(arguments)
    chosen = options.parts.split(",")
    unknown = [name for name in chosen if name not in PARTS]
    if unknown:
        parser.error(f"--parts={options.parts}: no part is called {unknown[0]!r}; there are {', '.join(PARTS)}")
    os.environ.setdefault("CUDA_CACHE_MAXSIZE", str(4 << 30))
    options.out.mkdir(parents=True, exist_ok=True)
    skipped = _why_skipped(options.device)
    with tempfile.TemporaryDirectory() as scratch:
        setting = Setting(options.device, Path(scratch), options.steps)
        if options.warm_up and not skipped:
            flags = ["--virtual_gpus=2", "--memory_limit=1024", "--steps=20"]
            say(f"warm-up: {run_main(setting, 'warm-up', *flags, timeout_s=580)['seconds']} s")
        for name in chosen:
            take(name, setting, options.out / f"{name}.json", skipped)
    return 0


def take(name: str, setting: Setting, path: Path, skipped: str) -> None:
    """Runs one part, and writes its file after each row; a part that breaks leaves its error as the last row."""
    begin = time.perf_counter()
    record: dict[str, Any] = {"part": name, "date": datetime.now(UTC).isoformat(timespec="seconds"), "rows": []}
    if skipped:
        record["skipped"] = skipped
    else:
        try:
            for row in PARTS[name](setting):
                record["rows"].append(row)
                _write(path, record)
                say(f"  {name}: {row['name']}: exit {row.get('exit')}, {row.get('seconds')} s")
        except Exception as error:  # noqa: BLE001  # one part must not take the time of those after it
            record["broke"] = f"{type(error).__name__}: {error}"
    record["seconds"] = round(time.perf_counter() - begin, 1)
    _write(path, record)
    say(f"{name}: {record.get('skipped') or record.get('broke') or 'saved'}, {record['seconds']} s")


def say(line: str) -> None:
    """Tells how far it is."""
    print(line, flush=True)


def _why_skipped(device: str) -> str:
    """Why nothing of the evidence can be taken here; empty where it can."""
    return _NO_GPU if device == "gpu" and run(["-c", _LISTS_GPUS], timeout_s=120)["exit"] else ""


def _write(path: Path, record: dict[str, Any]) -> None:
    path.with_suffix(".part").write_text(json.dumps(record, indent=1) + "\n")
    path.with_suffix(".part").replace(path)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
