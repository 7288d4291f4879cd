"""A thread that reads the ledgers again and again."""

import threading
import time
from dataclasses import dataclass

from .ledgers import Ledgers


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
    """Samples every `interval_s` seconds from `start` to `stop`.

    Where more than `most` samples would be kept, of each two the one with less memory goes, and the interval doubles.

    Attributes:
      samples: the oldest first.
      interval_s: seconds from sample to sample, by now.
      failure: what ended the sampling early; empty for nothing.
    """

    def __init__(self, ledgers: Ledgers, interval_s: float, most: int | None = None) -> None:
        self.samples: list[Sample] = []
        self.interval_s = interval_s
        self.failure = ""
        self._ledgers, self._most = ledgers, most
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
        if not self.failure:
            self._try()

    def seconds(self) -> float:
        """Since the sampler was made."""
        return time.monotonic() - self._begin

    def take(self) -> Sample:
        """Takes a sample out of turn."""
        sample = Sample(self.seconds(), self._ledgers.in_use(), self._ledgers.process())
        self.samples.append(sample)
        return sample

    def _try(self) -> None:
        try:
            self.take()
        except Exception as error:  # noqa: BLE001 - a GPU that is lost ends what it computes, and says so itself
            self.failure = f"{type(error).__name__}: {error}"

    def _run(self) -> None:
        while not self._stopped.wait(self.interval_s):
            self._try()
            if self.failure:
                return
            if self._most is not None and len(self.samples) > self._most:
                self.samples[:] = map(_higher, self.samples[::2], self.samples[1::2])
                self.interval_s *= 2


def _higher(first: Sample, second: Sample) -> Sample:
    return max(first, second, key=lambda sample: (sum(sample.in_use), sample.process))
