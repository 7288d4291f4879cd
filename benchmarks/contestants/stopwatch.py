"""What a contestant is told, and what it prints: one line of JSON. Imports nothing, so that imports can be timed."""

import argparse
import json
import time
from dataclasses import dataclass

BEGIN = time.perf_counter()


@dataclass(frozen=True)
class Task:
    """What to train.

    Attributes:
      replicas: N.
      batch: examples in a step, over all replicas.
      warmup: steps before the clock starts.
      steps: steps on the clock.
      threads: of each process, for those not on TensorFlow; 0 for the framework's default.
      intra_op: threads of TensorFlow's operations, inter_op: operations at once; None for what the contestant chooses.
      steps_per_call: steps that the framework runs without coming back to Python; 0 for what the contestant chooses.
      onednn: 1 makes TensorFlow compute with oneDNN, 0 as it chooses.
      workload: the file of initial weights and batches that ``dump_workload.py`` wrote.
    """

    replicas: int
    batch: int
    warmup: int
    steps: int
    threads: int
    intra_op: int | None
    inter_op: int | None
    steps_per_call: int
    onednn: int
    workload: str


def read_task() -> Task:
    """The task on the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--replicas", type=int, default=1)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--warmup", type=int, default=20)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--intra_op", type=int)
    parser.add_argument("--inter_op", type=int)
    parser.add_argument("--steps_per_call", type=int, default=0)
    parser.add_argument("--onednn", type=int, default=0)
    parser.add_argument("--workload", default="")
    return Task(**vars(parser.parse_args()))


class Stopwatch:
    """Takes the times of one contestant, in seconds since its first line of Python."""

    def __init__(self, task: Task):
        self.task = task
        self._first = self._started = self._stopped = 0.0

    def after_step(self, step: int) -> bool:
        """Tells that `step`, counted from 1, was sent off; True where its result has to be waited for."""
        return step in (1, self.task.warmup, self.task.warmup + self.task.steps)

    def done(self, step: int) -> None:
        """Tells that the result of such a step is there."""
        now = time.perf_counter() - BEGIN
        self._first = self._first or now  # of several steps in a call the last one is told
        if step == self.task.warmup:
            self._started = now
        if step == self.task.warmup + self.task.steps:
            self._stopped = now

    def report(self, images: int, loss: float) -> None:
        """Prints what was measured.

        Args:
          images: how many were trained on in the timed steps.
          loss: of the weights at the end, over the last epoch.
        """
        seconds = self._stopped - self._started
        print(
            json.dumps(
                {
                    "first_step_s": self._first,
                    "seconds": seconds,
                    "images_per_second": images / seconds,
                    "loss": loss,
                    "stopped_s": self._stopped,
                }
            ),
            flush=True,
        )


def images_in(task: Task, num_examples: int) -> int:
    """Images of the timed steps: the last batch of each epoch holds what is left."""
    per_epoch = -(-num_examples // task.batch)
    last = num_examples - (per_epoch - 1) * task.batch
    timed = range(task.warmup, task.warmup + task.steps)
    return sum(last if step % per_epoch == per_epoch - 1 else task.batch for step in timed)
