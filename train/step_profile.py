"""Records what each device and each thread does in chosen steps, for the Profile tab of TensorBoard."""

from pathlib import Path

import tensorflow as tf

from train.loop import Means


class StepProfile:
    """An `Observer` that has TensorFlow's profiler on from before step `first` until after step `last`.

    Source: https://www.tensorflow.org/guide/profiler. Python itself is left out: a step is one call.
    """

    def __init__(self, folder: Path, first: int, last: int, *, done: int):
        self._folder, self._first, self._last = folder, first, last
        self._running = False
        self._turn(done)

    def next_stop(self, step: int) -> int | None:
        """The step before the first one, then the last one."""
        return next((stop for stop in (self._first - 1, self._last) if stop > step), None)

    def after_call(self, step: int, means: Means) -> None:
        """Starts or stops where the time has come; the steps that are under way are waited for first."""
        if step in (self._first - 1, self._last):
            means["loss"].numpy()
        self._turn(step)

    def close(self) -> None:
        """Stops, should training have ended before."""
        self._turn(self._last)

    def _turn(self, step: int) -> None:
        wanted = self._first - 1 <= step < self._last
        if wanted and not self._running:
            tf.profiler.experimental.start(str(self._folder), tf.profiler.experimental.ProfilerOptions())
        elif self._running and not wanted:
            tf.profiler.experimental.stop()
        self._running = wanted
