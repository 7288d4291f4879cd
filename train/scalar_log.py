"""Loss, speed and memory over the steps, as TensorBoard reads them."""

import contextlib
import time
from collections.abc import Sequence

import tensorflow as tf

from distribute.memory_timeline.ledgers import open_ledgers
from train.loop import Means

_MIB = 2**20


class ScalarLog:
    """An `Observer` that writes what training measures of each step, and memory and speed once a call.

    Memory is that in use in the allocator of each device, where TensorFlow counts it, and that of the process.
    """

    def __init__(self, writer: tf.summary.SummaryWriter, devices: Sequence[str], *, first_step: int):
        self._open = contextlib.ExitStack()
        self._ledgers = self._open.enter_context(open_ledgers(devices))
        self._writer, self._step = writer, first_step
        self._called_at: float | None = None

    def next_stop(self, step: int) -> None:
        """Any call will do."""

    def after_call(self, step: int, means: Means) -> None:
        """Reads the means, which waits for the devices, and writes them."""
        values = {name: tensor.numpy() for name, tensor in means.items()}
        steps = range(self._step + 1, step + 1)
        with self._writer.as_default():
            for name, series in values.items():
                for number, value in zip(steps, series, strict=True):
                    tf.summary.scalar(f"train/{name}", value, step=number)
            for device, in_use in zip(self._ledgers.devices, self._ledgers.in_use(), strict=True):
                tf.summary.scalar(f"memory/{device}, MiB", in_use / _MIB, step=step)
            tf.summary.scalar(f"memory/{self._ledgers.process_source}, MiB", self._ledgers.process() / _MIB, step=step)
            now = time.monotonic()
            if self._called_at is not None:  # the first call traces
                tf.summary.scalar("speed/steps a second", len(steps) / (now - self._called_at), step=step)
        self._called_at, self._step = now, step

    def close(self) -> None:
        """Writes what is left."""
        self._open.close()
        self._writer.flush()
