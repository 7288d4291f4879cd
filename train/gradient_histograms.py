"""Histograms of the gradients that are applied, as TensorBoard reads them."""

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from train.loop import Means, TrainFunction


class GradientHistograms:
    """An `Observer` that writes a histogram of each variable's gradient in every `every`-th step.

    What is seen is what the optimizer updates a variable with: summed over the replicas, clipped and scaled. It is the
    same on all of them, so the first one's is written. Nothing is added to the step's arithmetic; in between the
    operations of the histograms do not run.

    To be made before the first call of `function`, whose trace they become part of.
    """

    def __init__(
        self,
        writer: tf.summary.SummaryWriter,
        optimizer: keras.optimizers.Optimizer,
        function: TrainFunction,
        *,
        every: int,
    ):
        self._writer, self._optimizer, self._every = writer, optimizer, every
        self._is_training = tf.Variable(False, trainable=False)  # the loop's check before training is none
        self._seen: dict[str, str] = {}
        self._update = optimizer.update_step
        optimizer.update_step = self._update_and_write
        function.decorate(self._with_writer)

    def begin(self) -> None:
        """Writes from now on."""
        self._is_training.assign(True)

    def next_stop(self, step: int) -> None:
        """Any call will do: histograms are written in the step."""

    def after_call(self, step: int, means: Means) -> None:
        """Nothing is left to do."""

    def close(self) -> None:
        """Writes what is left."""
        self._is_training.assign(False)
        self._writer.flush()

    def _with_writer(self, call: Callable[..., Means]) -> Callable[..., Means]:
        def call_with_writer(*arguments: Any) -> Means:
            with self._writer.as_default():
                return call(*arguments)

        return call_with_writer

    def _update_and_write(self, gradient: Any, variable: tf.Variable, learning_rate: Any) -> None:
        """In place of the optimizer's `update_step`, called for each variable on each replica."""
        name = self._optimizer._trainable_variables[self._optimizer._get_variable_index(variable)].path
        # The first device that comes is the first replica's.
        if self._seen.setdefault(name, variable.device) == variable.device:
            step = tf.cast(self._optimizer.iterations.value, tf.int64) + 1
            due = tf.logical_and(self._is_training, tf.equal(step % self._every, 0))
            # A file is written on the host; the slash keeps the optimizer's scopes out of the name.
            with tf.device("CPU:0"), tf.name_scope("gradients/"), tf.summary.record_if(due):
                tf.summary.histogram(name, tf.convert_to_tensor(gradient), step=step)
        self._update(gradient, variable, learning_rate)
