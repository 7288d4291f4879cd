"""Saves and restores a training run as `tf.train.Checkpoint` files, ``ckpt-<step>.index`` and ``.data-*``.

Not Keras' ``.keras`` or ``.weights.h5``: those are written in place, and a failed write destroys the file before it.
"""

import contextlib
from pathlib import Path

import tensorflow as tf

from distribute import Program
from train.checkpoint_files import saved_steps
from train.epoch_means import EpochMeans
from train.errors import InputError, MachineError, tell
from train.finite import require_finite_variables

# What a damaged checkpoint was seen to raise; a checkpoint of another model raises AssertionError or ValueError.
_DAMAGED = (tf.errors.OpError, IndexError)


class Checkpoints:
    """The checkpoints of one run, in one folder; the newest three are kept.

    All processes of a run restore from `folder`, and all have to take part in saving; those whose files do not count
    write to another folder, `save_to`.
    """

    def __init__(self, folder: Path, program: Program, *, save_to: Path | None = None):
        self._folder, self._save_to = folder, save_to or folder
        self._program, self._optimizer = program, program.optimizer
        self._epoch = tf.Variable(EpochMeans().to_list(), dtype=tf.float64)
        self._checkpoint = tf.train.Checkpoint(model=program.model, optimizer=program.optimizer, epoch=self._epoch)
        self._manager = tf.train.CheckpointManager(self._checkpoint, str(self._save_to), max_to_keep=3)

    @property
    def epoch(self) -> EpochMeans:
        """The means that were saved or restored last; those of no step before."""
        return EpochMeans.from_list(self._epoch.numpy())

    def save(self, step: int, epoch: EpochMeans) -> None:
        """Writes the state after `step` steps, with the means of the epoch so far.

        A write that is cut off leaves the older checkpoints as they are.

        Raises:
          NonFiniteError: a variable is NaN or infinite; nothing was written.
          MachineError: the disk is full, or the folder cannot be written any more.
        """
        require_finite_variables(self._program, step)
        self._epoch.assign(epoch.to_list())
        try:
            self._manager.save(checkpoint_number=step)
        except tf.errors.OpError as error:  # TensorFlow tells a full disk so, and not as an OSError
            reason = error.message.splitlines()[0]
            raise MachineError(
                f"checkpoint {step} cannot be written to {self._save_to}: {reason}; free some space"
            ) from error

    def restore_latest(self) -> int:
        """Restores the newest checkpoint that can be read, warning of damaged ones.

        The learning rate stays as the optimizer was built with, or a checkpoint's would override the flag in silence.

        Returns:
          The number of steps that it holds.

        Raises:
          InputError: there is none that can be read, or it belongs to another model or optimizer.
        """
        learning_rate = float(self._optimizer.learning_rate.numpy())
        for step in sorted(saved_steps(self._folder), reverse=True):
            if self._restore(step):
                with contextlib.suppress(TypeError):  # a schedule follows from the step and cannot be set
                    self._optimizer.learning_rate = learning_rate
                return step
        raise InputError(f"--resume: there is no readable checkpoint (ckpt-<step>.index) in {self._folder}")

    def _restore(self, step: int) -> bool:
        prefix = self._folder / f"ckpt-{step}"
        try:
            status = self._checkpoint.restore(str(prefix))
        except _DAMAGED as error:
            tell(f"warning: checkpoint {prefix} is damaged ({type(error).__name__}): trying the one before")
            return False
        except ValueError as error:
            raise _of_another_program(prefix, error) from error
        try:
            status.assert_consumed()
        except AssertionError as error:
            status.expect_partial()  # or TensorFlow logs every value that nobody asked for
            raise _of_another_program(prefix, error) from error
        return True


def _of_another_program(prefix: Path, error: Exception) -> InputError:
    reason = str(error).splitlines()[0]
    return InputError(f"--resume: checkpoint {prefix} belongs to another model or optimizer: {reason}")
