"""Saves and restores a training run as `tf.train.Checkpoint` files, ``ckpt-<step>.index`` and ``.data-*``.

Not Keras' ``.keras`` or ``.weights.h5``: those are written in place, and a failed write destroys the file before it.

A checkpoint holds all that a run goes on from: weights, optimizer, what each replica holds of its own (moving
statistics, states of seed generators) and the means of the epoch. The position in the data follows from the step. What
is not in it: `keras.random` without a `SeedGenerator`, and what a model draws from Python or NumPy.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tensorflow as tf

from distribute import Program
from train.checkpoint_files import KEPT, remove_all_but_newest, remove_unreadable_state, saved_steps
from train.epoch_means import EpochMeans
from train.errors import InputError, MachineError, tell
from train.finite import require_finite_variables
from train.replica_state import ReplicaState

# What a damaged checkpoint was seen to raise; a checkpoint of another model raises AssertionError or ValueError.
_DAMAGED = (tf.errors.OpError, IndexError)


class Checkpoints:
    """The checkpoints of one run, in one folder; the newest three are kept.

    All processes of a run restore from `folder`, and all have to take part in saving; those whose files do not count
    write to another folder, `save_to`. `strategy` is that of the program, None for TensorFlow's default.
    """

    def __init__(
        self,
        folder: Path,
        program: Program,
        *,
        strategy: tf.distribute.Strategy | None = None,
        save_to: Path | None = None,
    ):
        self._folder, self._save_to = folder, save_to or folder
        self._save_to.mkdir(parents=True, exist_ok=True)
        self._program, self._optimizer = program, program.optimizer
        self._epoch = tf.Variable(EpochMeans().to_list(), dtype=tf.float64)
        self._state = ReplicaState(strategy or tf.distribute.get_strategy(), program.model)
        self._holders = self._state.make_holders()
        self._checkpoint = tf.train.Checkpoint(
            model=program.model, optimizer=program.optimizer, replicas=self._holders, epoch=self._epoch
        )
        remove_unreadable_state(self._save_to)
        self._manager = tf.train.CheckpointManager(self._checkpoint, str(self._save_to), max_to_keep=KEPT)

    @property
    def epoch(self) -> EpochMeans:
        """The means that were saved or restored last; those of no step before."""
        return EpochMeans.from_list(self._epoch.numpy())

    @property
    def differing_names(self) -> list[str]:
        """Variables of which the replicas held different values when they were saved or restored last."""
        return self._state.differing_names(self._holders)

    def save(self, step: int, epoch: EpochMeans) -> None:
        """Writes the state after `step` steps, with the means of the epoch so far.

        A write that is cut off leaves the older checkpoints as they are.

        Raises:
          NonFiniteError: a variable is NaN or infinite; nothing was written.
          MachineError: the disk is full, or the folder is gone or cannot be written any more.
        """
        self._epoch.assign(epoch.to_list())
        self._state.read_into(self._holders)
        require_finite_variables(self._named_values(), step)
        self._require_folder(step)
        try:
            self._manager.save(checkpoint_number=step)
            remove_all_but_newest(self._save_to, step)
        except (tf.errors.OpError, OSError) as error:
            raise self._unwritable(step, error) from error

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
                with contextlib.suppress(OSError):  # the next save tells
                    remove_all_but_newest(self._save_to, step, keep_later=True)
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
        self._state.write_from(self._holders)
        return True

    def _named_values(self) -> Iterator[tuple[str, np.ndarray]]:
        """What is about to be saved of the model; what replicas hold of their own, of each of them."""
        model = self._program.model
        for variable in model.trainable_variables:
            yield variable.path, variable.numpy()
        for variable, holder in zip(model.non_trainable_variables, self._holders, strict=True):
            yield variable.path, holder.numpy()

    def _require_folder(self, step: int) -> None:
        if not self._save_to.is_dir():  # TensorFlow would make a new one, and the older checkpoints be gone unnoticed
            raise MachineError(
                f"checkpoint {step} cannot be written: {self._save_to} was removed during the run, and all that it held"
            )

    def _unwritable(self, step: int, error: tf.errors.OpError | OSError) -> MachineError:
        # TensorFlow tells a full disk by an error of its own, and not as an OSError.
        reason = error.message.splitlines()[0] if isinstance(error, tf.errors.OpError) else error.strerror
        with contextlib.suppress(OSError):  # what was written of it fills the disk
            remove_all_but_newest(self._save_to, step - 1)
        return MachineError(
            f"checkpoint {step} cannot be written to {self._save_to}: {reason}; free some space, or check the folder"
        )


def _of_another_program(prefix: Path, error: Exception) -> InputError:
    reason = str(error).splitlines()[0]
    return InputError(f"--resume: checkpoint {prefix} belongs to another model or optimizer: {reason}")
