"""One training run from its first (or resumed) step, and its evaluation: loop, progress, checkpoints, signals."""

import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import tensorflow as tf
from rich.console import Console

from configs.recipe import Recipe
from distribute import Program
from train.agreement import Decide
from train.checkpoint import Checkpoints
from train.data import Source, eval_batches, train_batches
from train.loop import Means, TrainFunction, evaluate, train
from train.observer import Observer
from train.progress import TrainingProgress
from train.record import hash_weights
from train.step import input_dtype
from train.stop_signals import StopSignals, stop_as_others
from train.weight_sketch import sketch_weights


@dataclass(frozen=True)
class Schedule:
    """How long to train.

    Attributes:
      first_step: steps done before, by the run that is resumed.
      num_steps: steps when done, those before included.
      steps_per_epoch: the last one may hold fewer examples.
    """

    first_step: int
    num_steps: int
    steps_per_epoch: int

    @property
    def epochs(self) -> int:
        """Epochs begun when done."""
        return -(-self.num_steps // self.steps_per_epoch)


class SaveInterval:
    """Says when a checkpoint is due: after so many steps or so many seconds since the last one."""

    def __init__(self, steps: int | None, seconds: float | None):
        self._steps, self._seconds = steps, seconds
        self._last = time.monotonic()

    def due(self, step: int) -> bool:
        """Whether to save after this step."""
        if self._steps is not None:
            return step % self._steps == 0
        if time.monotonic() - self._last < (self._seconds or 0.0):
            return False
        self._last = time.monotonic()
        return True

    def next_due(self, step: int) -> int | None:
        """The first step after this one with which a checkpoint is due; None where time decides."""
        return None if self._steps is None else (step // self._steps + 1) * self._steps


def run_training(
    recipe: Recipe,
    source: Source,
    program: Program,
    train_function: TrainFunction,
    *,
    schedule: Schedule,
    steps_per_call: int | None,
    checkpoints: Checkpoints,
    save_interval: SaveInterval,
    decide: Decide,
    observers: Sequence[Observer] = (),
    keep_partial: Callable[[dict[str, Any]], None],
    console: Console,
) -> dict[str, Any]:
    """Trains by `schedule`, saving on the way and at the end, or until a signal comes.

    Of several steps in a call the last one is followed by what is due; a checkpoint that is due by its step is written
    after that step. Where training fails, `keep_partial` gets the entry up to the last call that did not.

    Returns:
      The ``training`` entry of ``report.json``, without test results; None for what no step was left to measure.

    Raises:
      NonFiniteError: a loss or gradient was NaN or infinite; the checkpoints before it stay.
    """
    batches = train_batches(
        source,
        global_batch_size=recipe.global_batch_size,
        seed=recipe.seed,
        first_step=schedule.first_step,
        num_epochs=schedule.epochs,
        max_shift=recipe.max_shift,
        mirror=recipe.mirror,
        dtype=input_dtype(recipe),
    )
    progress = TrainingProgress(
        console,
        num_examples=source.num_train_examples,
        global_batch_size=recipe.global_batch_size,
        first_step=schedule.first_step,
        num_steps=schedule.num_steps,
        epoch=checkpoints.epoch,
    )
    with StopSignals(finish_step=True) as stop, progress:

        def after_call(step: int, means: Means) -> bool:
            progress.add(step, means)
            for observer in observers:
                observer.after_call(step, means)
            signal_number, save_now = decide(stop.number, save_interval.due(step))
            if save_now and step < schedule.num_steps:
                with progress.paused():
                    checkpoints.save(step, progress.epoch)
            if signal_number:
                stop_as_others(signal_number)
            return stop.received

        try:
            train(
                train_function,
                batches,
                first_step=schedule.first_step,
                num_steps=schedule.num_steps,
                after_call=after_call,
                steps_per_call=steps_per_call,
                next_stop=lambda step: min(
                    stop or schedule.num_steps
                    for stop in (save_interval.next_due(step), *(o.next_stop(step) for o in observers))
                ),
            )
            progress.read()
            if progress.last_step > schedule.first_step:
                checkpoints.save(progress.last_step, progress.epoch)
        except Exception:
            with contextlib.suppress(tf.errors.OpError):  # of steps that the devices had not finished
                progress.read()
            if progress.last_step > schedule.first_step:
                keep_partial(_entry(progress, schedule))
            raise
    return {
        **_entry(progress, schedule),
        "weights": sketch_weights(program),
        "weights_sha256": hash_weights(program),
    }


def _entry(progress: TrainingProgress, schedule: Schedule) -> dict[str, Any]:
    return {
        "steps": progress.last_step,
        "epochs": progress.last_step / schedule.steps_per_epoch,
        "examples_per_second": progress.examples_per_second,
        "final_loss": progress.epoch.loss,
        "losses": progress.losses.to_dict(),
        "accuracies": progress.accuracies.to_dict(),
    }


def evaluate_on_test_split(
    recipe: Recipe, source: Source, strategy: tf.distribute.Strategy, program: Program
) -> dict[str, float]:
    """The test results of the ``training`` entry of ``report.json``."""
    test_set = eval_batches(source, global_batch_size=recipe.global_batch_size, dtype=input_dtype(recipe))
    return {f"test_{name}": mean for name, mean in evaluate(strategy, program, test_set).items()}
