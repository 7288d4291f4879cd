"""Runs contestants as processes of their own, one after the other, round after round."""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

_SAMPLE_S = 0.1
ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Contestant:
    """A module of `benchmarks.contestants` with its flags.

    Attributes:
      name: for tables; several settings of one contestant share it, and the best one counts.
      module: in `benchmarks.contestants`.
      flags: beside those of the workload.
      python: the interpreter.
    """

    name: str
    module: str
    flags: dict[str, int] = field(default_factory=dict)
    python: str = sys.executable

    @property
    def setting(self) -> str:
        """Its flags in a word."""
        return " ".join(f"{name}={value}" for name, value in self.flags.items()) or "defaults"


def dump_workload(folder: Path, batch: int, steps: int, warmup: int = 30) -> list[str]:
    """Writes weights and batches for contestants, whose warm-up is longer than an epoch; returns flags for them."""
    flags = [f"--batch={batch}", f"--warmup={warmup}", f"--steps={steps}", f"--workload={folder}/workload_{batch}.npz"]
    module = "benchmarks.contestants.dump_workload"
    subprocess.run([sys.executable, "-m", module, *flags], cwd=ROOT, check=True, stderr=subprocess.DEVNULL)
    return flags


def run_rounds(
    contestants: Sequence[Contestant], workload: Sequence[str], num_rounds: int
) -> Iterator[tuple[int, Contestant, dict[str, Any]]]:
    """Every contestant once a round (A B C, C B A, A B C …), so that what else a machine does falls on all alike.

    One that fails says so on standard error, and takes no part any more.
    """
    taking_part = list(contestants)
    for number in range(num_rounds):
        for contestant in taking_part[:] if number % 2 == 0 else taking_part[::-1]:
            try:
                result = run_once(contestant, workload)
            except RuntimeError as error:
                taking_part.remove(contestant)
                print(f"left out: {contestant.name} ({contestant.setting}): {error}", file=sys.stderr, flush=True)
            else:
                yield number, contestant, result


def run_once(contestant: Contestant, workload: Sequence[str]) -> dict[str, Any]:
    """What the contestant printed, with the wall time of the process, and its end; peak of resident memory in MiB.

    Raises:
      RuntimeError: it failed.
    """
    flags = [f"--{name}={value}" for name, value in contestant.flags.items()]
    command = [contestant.python, "-m", f"benchmarks.contestants.{contestant.module}", *workload, *flags]
    begin = time.perf_counter()
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    peak = PeakMemory(process.pid)
    output, errors = process.communicate()
    wall = time.perf_counter() - begin
    peak_mib = peak.stop()
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}:\n{errors[-2000:]}")
    said = json.loads(output.splitlines()[-1])
    return {**said, "wall_s": wall, "end_s": wall - said["stopped_s"], "peak_mib": peak_mib}


class PeakMemory:
    """Samples the resident memory of a process and all its children, together."""

    def __init__(self, pid: int) -> None:
        self._process, self._peak, self._stopped = psutil.Process(pid), 0, threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._thread.start()

    def _sample(self) -> None:
        while not self._stopped.wait(_SAMPLE_S):
            try:
                family = [self._process, *self._process.children(recursive=True)]
                self._peak = max(self._peak, sum(one.memory_info().rss for one in family))
            except psutil.Error:  # one of them has just ended
                continue

    def stop(self) -> float:
        """Ends the sampling; returns the peak in MiB."""
        self._stopped.set()
        self._thread.join()
        return self._peak / 2**20
