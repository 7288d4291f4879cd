"""A thread that reads the ledgers again and again."""

import threading
import time
from dataclasses import dataclass

from distribute.memory_timeline.ledgers import Ledgers


@dataclass(frozen=True)
class Sample:
    """One reading, in bytes.

    Attributes:
      seconds: since the sampler began.
      in_use: of each device's allocator.
      process: of the whole process.
    """

    seconds: float
    in_use: tuple[int, ...]
    process: int


class Sampler:
    """Samples every `interval_s` seconds from `start` to `stop`."""

    def __init__(self, ledgers: Ledgers, interval_s: float) -> None:
        self.samples: list[Sample] = []
        self._ledgers, self._interval_s = ledgers, interval_s
        self._begin = time.monotonic()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="memory sampler", daemon=True)

    def start(self) -> None:
        """Takes the first sample, then goes on in its thread."""
        self.take()
        self._thread.start()

    def stop(self) -> None:
        """Takes the last sample."""
        self._stopped.set()
        self._thread.join()
        self.take()

    def seconds(self) -> float:
        """Since the sampler was made."""
        return time.monotonic() - self._begin

    def take(self) -> Sample:
        """Takes a sample out of turn."""
        sample = Sample(self.seconds(), self._ledgers.in_use(), self._ledgers.process())
        self.samples.append(sample)
        return sample

    def _run(self) -> None:
        while not self._stopped.wait(self._interval_s):
            self.take()
