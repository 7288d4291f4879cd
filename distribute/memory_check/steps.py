"""Runs a program's steps and reads the allocator's counters after each of them."""

import os
import time
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from ..batches import join
from ..program import Program
from .trace import MemoryTrace, may_grow

# Steps after the first. The spread needs 10; growth gets three windows of eight, or of four where steps are
# slow. Where the last window lies above the first, chance has to repeat itself in six windows of sixteen to
# be called growth.
_FURTHER_STEPS_WHEN_SLOW = 12
_FURTHER_STEPS = 24
_FURTHER_STEPS_IN_DOUBT = (48, 96)
_SLOW_S = 2.0
_TOO_LONG_S = 120.0

_EVALUATIONS = 2


class StepRecorder:
    """Counters of some devices, peak in each step and use after it, above where they stand now."""

    def __init__(self, devices: Sequence[str], *, num_steps: int | None = None) -> None:
        """Counters of these devices over `num_steps` steps; None for as many as judging their growth needs."""
        self._devices, self._num_steps = devices, num_steps
        self._before = [_counters(device)["current"] for device in devices]
        self._peaks: list[list[int]] = [[] for _ in devices]
        self._ends: list[list[int]] = [[] for _ in devices]
        self._first_step_done = 0.0
        self.reset()

    def reset(self) -> None:
        """Starts a new phase: the next peaks are those from here on."""
        for device in self._devices:
            tf.config.experimental.reset_memory_stats(device)

    def peaks(self) -> list[int]:
        """Peak of each device in this phase, in bytes."""
        return [_counters(device)["peak"] - before for device, before in zip(self._devices, self._before, strict=True)]

    def after_step(self) -> bool:
        """Notes the counters of the step just done; True when more steps are wanted."""
        if not self._peaks[0]:
            self._first_step_done = time.monotonic()
        for index, (device, peak) in enumerate(zip(self._devices, self.peaks(), strict=True)):
            self._peaks[index].append(peak)
            self._ends[index].append(_counters(device)["current"] - self._before[index])
        self.reset()
        return not self._enough()

    def _enough(self) -> bool:
        further = len(self._peaks[0]) - 1
        if self._num_steps is not None:
            return further + 1 >= self._num_steps
        elapsed = time.monotonic() - self._first_step_done
        if further < _FURTHER_STEPS_WHEN_SLOW:
            return False
        if further >= _FURTHER_STEPS_IN_DOUBT[-1] or elapsed > _TOO_LONG_S:
            return True
        is_checkpoint = further in (_FURTHER_STEPS, *_FURTHER_STEPS_IN_DOUBT)
        if is_checkpoint or (further < _FURTHER_STEPS and elapsed > _SLOW_S):
            return not any(may_grow(ends[1:]) for ends in self._ends)
        return False

    def traces(
        self, batch_sizes: Sequence[int], state_bytes: int, evaluation_peaks: Sequence[int] | None
    ) -> list[MemoryTrace]:
        """What was noted, one trace per device."""
        num_threads = tf.config.threading.get_inter_op_parallelism_threads() or _num_cores()
        return [
            MemoryTrace(
                device=device,
                batch_size=batch_sizes[index],
                peaks=self._peaks[index],
                ends=self._ends[index],
                state_bytes=state_bytes,
                num_threads=num_threads,
                evaluation_peak=evaluation_peaks[index] if evaluation_peaks else None,
            )
            for index, device in enumerate(self._devices)
        ]


def train(built: Any, shards: Sequence[Any], recorder: StepRecorder) -> None:
    """Trains what ``build`` returned, under the strategy in scope, until the recorder has seen enough.

    Args:
      built: a compiled `keras.Model`, run by its own ``fit``, or a `Program`, traced in a `tf.function`, XLA
        off in both cases: XLA would need another compiler's memory, and `fit` turns it on by default.
      shards: each replica's share of the batch, numpy arrays.
      recorder: told of each step.

    Raises:
      TypeError: ``built`` is neither.
    """
    if isinstance(built, Program):
        _train_program(built, shards, recorder)
    elif isinstance(built, keras.Model):
        _fit(built, shards, recorder)
    else:
        raise TypeError(f"build must return a compiled keras.Model or a Program; it returned {built!r}")


def _train_program(program: Program, shards: Sequence[Any], recorder: StepRecorder) -> None:
    batch = _per_replica(shards)

    # Only the loss leaves the graph: gradients that a step returns for verification are not kept alive by
    # training.
    @tf.function(jit_compile=False)
    def step(batch: Any) -> Any:
        return tf.distribute.get_strategy().run(program.train_step, args=(batch,))["loss"]

    step(batch)
    while recorder.after_step():
        step(batch)


def _fit(model: keras.Model, shards: Sequence[Any], recorder: StepRecorder) -> None:
    class TellRecorder(keras.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            if not recorder.after_step():
                self.model.stop_training = True

    model.jit_compile = False
    batches = tf.data.Dataset.from_tensors(join(shards)).repeat()
    model.fit(batches, steps_per_epoch=10**6, verbose=0, callbacks=[TellRecorder()])


def evaluate(built: Any, shards: Sequence[Any], recorder: StepRecorder) -> list[int] | None:
    """Evaluates each replica's shard with the program's ``evaluate_step``.

    Returns:
      Peak per device in bytes, None where the program has no such step.
    """
    if not isinstance(built, Program) or built.evaluate_step is None:
        return None
    evaluate_step, batch = built.evaluate_step, _per_replica(shards)

    @tf.function(jit_compile=False)
    def step(batch: Any) -> Any:
        return tf.distribute.get_strategy().run(evaluate_step, args=(batch,))

    recorder.reset()
    for _ in range(_EVALUATIONS):
        step(batch)
    return recorder.peaks()


def _per_replica(shards: Sequence[Any]) -> Any:
    if len(shards) == 1:
        return tf.nest.map_structure(tf.constant, shards[0])
    return tf.distribute.get_strategy().experimental_distribute_values_from_function(
        lambda context: tf.nest.map_structure(tf.constant, shards[context.replica_id_in_sync_group])
    )


def _counters(device: str) -> dict[str, int]:
    return tf.config.experimental.get_memory_info(device)


def _num_cores() -> int:
    # What TensorFlow takes where the number of inter-op threads is left at 0.
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
