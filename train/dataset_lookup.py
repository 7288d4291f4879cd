"""From the name of a data set to its TFDS builder: `digits` is ours, every other name is TFDS' own.

Nothing here downloads or reads examples, so a set that cannot be used is refused before it costs gigabytes.
"""

import difflib
import re
from pathlib import Path
from typing import Any

import numpy as np

from train.errors import InputError, MachineError
from train.messages import first_line

_WELL_KNOWN = ("digits", "mnist", "fashion_mnist", "cifar10")


def make_builder(name: str, root: str) -> Any:
    """The `tfds.core.DatasetBuilder` of a name, with its sizes if it is prepared in the data folder `root`.

    Raises:
      InputError: unknown name, configuration or version.
      MachineError: its metadata in `root` is damaged.
    """
    # Two seconds that only those pay who load data, here and wherever TFDS is imported.
    import tensorflow_datasets as tfds
    from google.protobuf import json_format

    try:
        if name == "digits":
            from train.digits.digits_dataset_builder import Builder

            return Builder(data_dir=root)
        return tfds.builder(name, data_dir=root)
    except tfds.core.DatasetNotFoundError as error:
        raise InputError(_unknown_name(name)) from error
    except (json_format.ParseError, UnicodeDecodeError) as error:
        raise damaged(name, Path(root, re.split("[/:]", name)[0]), error) from error
    except (ValueError, AssertionError, ImportError) as error:
        # For a plain name, damaged metadata; otherwise a configuration, version or namespace TFDS lacks.
        if name.isidentifier():
            raise damaged(name, Path(root, name), error) from error
        reason = re.sub(r'^Failed to construct .*}": ', "", first_line(error))
        raise InputError(f"--dataset={name} cannot be loaded: {reason}") from error


def _unknown_name(name: str) -> str:
    import tensorflow_datasets as tfds

    known = {*_WELL_KNOWN, *tfds.list_builders(with_community_datasets=False)}
    nearest = difflib.get_close_matches(name, known)
    hint = f"Did you mean {' or '.join(nearest)}?" if nearest else f"Try {', '.join(_WELL_KNOWN)}."
    return f"--dataset={name}: no such set here or in TensorFlow Datasets. {hint}"


def classification_features(name: str, builder: Any) -> tuple[tuple[int, int, int], int]:
    """((height, width, channels), number of classes) of a set with the features `image` and `label`.

    Raises:
      InputError: it has no such features, or no uint8 images of one fixed size.
    """
    import tensorflow_datasets as tfds

    features = builder.info.features
    named = dict(features) if isinstance(features, tfds.features.FeaturesDict) else {}
    image, label = named.get("image"), named.get("label")
    if not isinstance(image, tfds.features.Image) or not isinstance(label, tfds.features.ClassLabel):
        raise InputError(
            f"--dataset={name} is no image-classification set: it lacks the features `image` and `label`. "
            f"Choose one that has them, such as {', '.join(_WELL_KNOWN)}."
        )
    if None in image.shape or image.np_dtype != np.uint8:
        raise InputError(
            f"--dataset={name} has images of shape {image.shape} and type {np.dtype(image.np_dtype).name}; "
            f"uint8 images of one fixed size are needed, as in {', '.join(_WELL_KNOWN)}."
        )
    return image.shape, label.num_classes


def damaged(name: str, folder: Path, reason: Exception | str) -> MachineError:
    """The error to raise when what lies in `folder` cannot be read."""
    return MachineError(
        f"--dataset={name}: the data in {folder} is damaged: {first_line(reason)}\n"
        "Delete that folder and run again (it is prepared anew), or choose another --data_dir."
    )
