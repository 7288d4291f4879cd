"""``--export``: the trained model for use elsewhere, as one ``.keras`` file or as a SavedModel folder.

What is exported is the last checkpoint, restored on one device outside of the strategy: moving statistics are those of
all replicas (`train.replica_state.combined`), and nothing of devices or of this repository is left in it. It is loaded
again and compared before it takes the place of an older export.
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import keras
import tensorflow as tf

from distribute.equivalence_check.global_state import alike
from train.checkpoint import Checkpoints
from train.data import eval_batches
from train.durable import replaced
from train.errors import InputError, MachineError, ScriptError
from train.step import input_dtype
from train.verification import Subject

# Relative L2 of predictions. A loaded graph may fuse operations, which rounds otherwise; a lost variable is far above.
_TOLERANCE = 1e-3
_NUM_EXAMPLES = 8


def require_exportable(path: Path) -> None:
    """Refuses a place that cannot be written to, before the hours of training and not after them.

    Raises:
      InputError: another suffix than ``.keras``, no such folder, one that may not be written to, or something else is
        there that would be lost.
    """
    if path.suffix in (".h5", ".hdf5"):
        raise InputError(f"--export={path}: {path.suffix} is not written: name a FILE.keras, or a folder")
    folder = path.absolute().parent
    if not folder.is_dir():
        raise InputError(f"--export={path}: there is no folder {folder}: make it, or name another")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise InputError(f"--export={path}: {folder} may not be written to: name another")
    if _is_file(path) and path.is_dir():
        raise InputError(f"--export={path} is a folder: move it away, or name another FILE.keras")
    if not _is_file(path) and not _may_be_replaced(path):
        raise InputError(f"--export={path} exists and is no SavedModel: move it away, or name another folder")


def export_checkpoint(subject: Subject, folder: Path, step: int, path: Path) -> str:
    """Exports the checkpoint of `step` steps in `folder` to `path`; returns a line that says so.

    Raises:
      InputError: the model cannot be stored in this format, or not all of it.
      MachineError: the checkpoint cannot be read, or the export cannot be written.
    """
    with alike(), tf.device("CPU:0"):  # the names of the layers do not count on from what verification built
        program = subject.build()
        checkpoints = Checkpoints(folder, program)
        if checkpoints.restore_latest() != step:
            raise MachineError(f"--export={path}: checkpoint {step} in {folder} cannot be read any more")
        inputs = tf.cast(_some_inputs(subject), program.model.inputs[0].dtype)
        with _explained(path), replaced(path) as temporary:
            _write(program.model, temporary)
            _require_same(program.model(inputs, training=False), _predict_loaded(temporary, inputs), path)
    kind = "Keras file" if _is_file(path) else "SavedModel"
    notes = [f"{kind}, {step:,} steps", *_notes(checkpoints, program.model, path)]
    return f"exported       {path} ({'; '.join(notes)})"


@contextlib.contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except ScriptError:
        raise
    except OSError as error:
        raise MachineError(f"--export={path} cannot be written ({error.strerror}): free some space") from error
    except tf.errors.OpError as error:
        reason = error.message.splitlines()[0]
        raise MachineError(f"--export={path} cannot be written ({reason}): free some space") from error
    except (NotImplementedError, TypeError, ValueError) as error:  # by which Keras refuses
        reason = str(error).strip().splitlines()[0]
        other = "; a SavedModel (--export=FOLDER) holds the code of its layers" if _is_file(path) else ""
        raise InputError(
            f"--export={path}: Keras cannot store this model, or load it again: {reason}{other}"
        ) from error


def _write(model: keras.Model, temporary: Path) -> None:
    if _is_file(temporary):
        model.save(temporary)
    else:
        model.export(temporary, format="tf_saved_model", verbose=False)


def _predict_loaded(stored: Path, inputs: tf.Tensor) -> tf.Tensor:
    if _is_file(stored):
        return keras.models.load_model(stored)(inputs, training=False)
    loaded = tf.saved_model.load(stored)  # which owns the variables of its functions
    return loaded.serve(inputs)


def _require_same(expected: tf.Tensor, found: tf.Tensor, path: Path) -> None:
    expected, found = tf.cast(expected, tf.float64), tf.cast(found, tf.float64)
    if not tf.norm(found - expected) <= _TOLERANCE * tf.norm(expected):
        raise InputError(
            f"--export={path}: loaded again, the model predicts otherwise: it has variables or settings that Keras "
            "does not store"
        )


def _notes(checkpoints: Checkpoints, model: keras.Model, path: Path) -> Iterator[str]:
    if checkpoints.differing_names:
        yield f"the mean of all replicas: {', '.join(checkpoints.differing_names)}"
    layers = {type(layer) for layer in model._flatten_layers()}
    own = sorted(layer.__name__ for layer in layers if layer.__module__.split(".")[0] != "keras")
    if own and _is_file(path):
        yield f"to load it takes the code of {', '.join(own)}, a SavedModel does not"


def _some_inputs(subject: Subject) -> tf.Tensor:
    recipe = subject.recipe
    batches = eval_batches(subject.source, global_batch_size=_NUM_EXAMPLES, dtype=input_dtype(recipe))
    return next(iter(batches))[0]


def _is_file(path: Path) -> bool:
    return path.suffix == ".keras"


def _may_be_replaced(path: Path) -> bool:
    if path.is_dir():
        return (path / "saved_model.pb").is_file() or not any(path.iterdir())
    return not path.exists()
