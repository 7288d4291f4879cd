"""Prepares a data set on first use and reads it, or says in one message why that cannot be.

This is ``tfds.load`` in its three steps (builder, download_and_prepare, as_dataset), because between them
stands what TFDS leaves to its user: several processes that start at once (two of three die with
FileExistsError), no network (204 s until it gives up), damaged files, folders that cannot be written to.
"""

import contextlib
import errno
import io
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import filelock
import numpy as np
import tensorflow as tf
from absl import logging

from train.data import Source
from train.dataset_hosts import unreachable_hosts
from train.dataset_lookup import Features, classification_features, damaged, make_builder, package_missing
from train.errors import InputError, MachineError
from train.generated_sets import GENERATED, NUM_CLASSES
from train.messages import first_line

# A split is cached in memory up to this size (CIFAR-10: 150 MB); beyond it, it is read anew each epoch.
CACHE_LIMIT_BYTES = 2 * 2**30
# How long to wait for another process that prepares the same set.
LOCK_TIMEOUT_S = 1800.0

# Signs of a folder that cannot be used at all; others, such as a full disk, are the machine's.
_BAD_FOLDER = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST, errno.ENOENT)


ReadText = Callable[[tf.Tensor], tf.Tensor]
"""From a text [] to the numbers [sequence_length] that a model reads."""


def load_source(name: str, data_dir: str | None = None, *, read_text: ReadText | None = None) -> Source:
    """Loads a data set; the first use prepares it, and downloads it unless it is `digits` or generated.

    It runs operations, so TensorFlow's devices are fixed afterwards: call ``split_device`` first. What is
    cached is read once here: damage shows now and not in the middle of training, and the cache is warm.

    Args:
      name: "digits", "line", "reviews", or a TFDS name such as "mnist", "emnist/letters" or "mnist:3.0.1".
      data_dir: TFDS data folder; None means TFDS' own default (TFDS_DATA_DIR, else ~/tensorflow_datasets).
      read_text: how to read texts; None where there must be none.

    Raises:
      InputError: unknown name, no set to classify with a test split, texts that nothing reads, unusable `data_dir`.
      MachineError: not prepared and not reachable, damaged, default folder not writable, disk full.
    """
    if name in GENERATED:
        return _generated(name, read_text)
    from tensorflow_datasets.core import constants

    root = str(data_dir or constants.DATA_DIR)
    builder = make_builder(name, root)
    features = classification_features(name, builder)
    read = _reader(name, read_text) if features.name == "text" else tf.identity
    if not _is_prepared(builder):
        _check_reachable(name, builder, root)
        with _explained_preparation(name, root, chosen=data_dir is not None):
            builder = _prepare(name, builder, root)
    _check_splits(name, builder)
    train, num_train_examples = _read_split(name, builder, "train", features, read)
    test, num_test_examples = _read_split(name, builder, "test", features, read)
    return Source(
        name=name,
        input_shape=tuple(train.element_spec[0].shape),
        num_outputs=features.num_classes,
        num_train_examples=num_train_examples,
        num_test_examples=num_test_examples,
        train=train,
        test=test,
        folder=str(builder.data_path),
    )


def _generated(name: str, read_text: ReadText | None) -> Source:
    splits = GENERATED[name]()
    inputs, labels = splits["train"]
    read = _reader(name, read_text) if inputs.dtype.kind == "U" else tf.identity

    def examples_of(split: str) -> tf.data.Dataset:
        examples = tf.data.Dataset.from_tensor_slices(splits[split])
        return examples.map(lambda value, label: (read(value), label)).cache()

    train = examples_of("train")
    return Source(
        name=name,
        input_shape=tuple(train.element_spec[0].shape),
        num_outputs=NUM_CLASSES.get(name) or labels.shape[1],
        num_train_examples=len(labels),
        num_test_examples=len(splits["test"][1]),
        train=train,
        test=examples_of("test"),
        folder="memory",
    )


def _reader(name: str, read_text: ReadText | None) -> ReadText:
    if read_text is None:
        raise InputError(
            f"--dataset={name} holds texts, and the recipe does not say how to read them: set its sequence_length and "
            "vocabulary_size, as configs/text_classifier.py does, or choose another set"
        )
    return read_text


def _is_prepared(builder: Any) -> bool:
    # `is_prepared` alone logs a warning about a folder that is simply not there yet.
    return builder.data_path.exists() and builder.is_prepared()


def _check_reachable(name: str, builder: Any, root: str) -> None:
    silent = unreachable_hosts(builder.url_infos or {})
    if silent:
        hosts = ", ".join(f"{host} ({reason})" for host, reason in sorted(silent.items()))
        raise MachineError(
            f"--dataset={name} is not prepared in {root} and cannot be downloaded: no answer from {hosts}.\n"
            f"Run once where there is a network, copy DIR/{builder.name} from its data folder DIR and pass "
            "--data_dir=DIR here; or use --dataset=digits, which needs no network."
        )


def _prepare(name: str, builder: Any, root: str) -> Any:
    """Downloads and prepares, in one process at a time; the others wait and find it done."""
    Path(root).mkdir(parents=True, exist_ok=True)
    logging.info("Preparing data set %s in %s, or waiting for the process that does", name, root)
    with filelock.FileLock(Path(root, f".{builder.name}.lock"), timeout=LOCK_TIMEOUT_S):
        builder = make_builder(name, root)  # a builder reads its sizes from the folder only when it is made
        if not _is_prepared(builder):
            _download_and_prepare(builder, quiet=not builder.url_infos)
    if not builder.info.splits:  # TFDS takes any folder of the right name for a prepared one
        raise damaged(name, builder.data_path, "the folder exists but holds no prepared data")
    return builder


def _download_and_prepare(builder: Any, *, quiet: bool) -> None:
    """TFDS' preparation. Its bars and notes suit a download on a terminal, not a second's work or a log."""
    import tensorflow_datasets as tfds

    tfds.display_progress_bar(enable=sys.stderr.isatty() and not quiet)
    with contextlib.redirect_stdout(io.StringIO()) if quiet else contextlib.nullcontext():
        builder.download_and_prepare()


@contextlib.contextmanager
def _explained_preparation(name: str, root: str, *, chosen: bool) -> Iterator[None]:
    """Makes one message of what preparing raises; `chosen`: the user named the folder, it is no default."""
    import requests
    import tensorflow_datasets as tfds

    try:
        yield
    except filelock.Timeout as error:
        raise MachineError(
            f"Waited {LOCK_TIMEOUT_S:g} s for another process that prepares --dataset={name} in {root}. "
            "Wait for it, stop it, or choose another --data_dir."
        ) from error
    except ImportError as error:
        raise package_missing(name, error) from error
    except (requests.RequestException, tfds.download.DownloadError, AssertionError) as error:
        raise MachineError(
            f"--dataset={name} could not be downloaded to {root}: {first_line(error)}\n"
            "Try again, or prepare it elsewhere and pass --data_dir; --dataset=digits needs no network."
        ) from error
    except (OSError, tf.errors.OpError) as error:
        error_type = InputError if chosen and getattr(error, "errno", None) in _BAD_FOLDER else MachineError
        raise error_type(
            f"--dataset={name} could not be prepared in {root}: {first_line(error)}.\n"
            "Name a folder that can be written to and has room: --data_dir=… or TFDS_DATA_DIR=…"
        ) from error


def _check_splits(name: str, builder: Any) -> None:
    missing = [split for split in ("train", "test") if split not in builder.info.splits]
    if missing:
        found = ", ".join(builder.info.splits)
        raise InputError(
            f"--dataset={name} has no {' and no '.join(missing)} split, only {found}. "
            "Choose a set that has both, such as mnist or cifar10."
        )


def _read_split(name: str, builder: Any, split: str, features: Features, read: ReadText) -> tuple[tf.data.Dataset, int]:
    """(data set of (input, label), number of examples); cached and read once if it fits the limit."""
    import tensorflow_datasets as tfds

    # Without TFDS' own cache, which would be a second copy, and in stored order: our shuffle is the only one.
    config = tfds.ReadConfig(try_autocache=False)
    try:
        examples = builder.as_dataset(split=split, shuffle_files=False, read_config=config)
        examples = examples.map(lambda example: (read(example[features.name]), example["label"]))
        num_examples, inputs = builder.info.splits[split].num_examples, examples.element_spec[0]
        if num_examples * inputs.shape.num_elements() * inputs.dtype.size > CACHE_LIMIT_BYTES:
            return examples, num_examples
        examples = examples.cache()
        return examples, int(examples.reduce(np.int64(0), lambda count, *_: count + 1))
    except tf.errors.OpError as error:
        raise damaged(name, builder.data_path, error) from error
