"""From the name of a data set to its TFDS builder: `digits` is ours, every other name is TFDS' own.

Nothing here downloads or reads examples, so a set that cannot be used is refused before it costs gigabytes.
"""

import difflib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from train.errors import InputError, MachineError
from train.generated_sets import GENERATED
from train.messages import first_line

_WELL_KNOWN = ("digits", "mnist", "fashion_mnist", "cifar10")


@dataclass(frozen=True)
class Features:
    """What of an example of a set is read besides its `label`.

    Attributes:
      name: of the input: ``image`` or ``text``.
      num_classes: of the labels.
    """

    name: str
    num_classes: int


def make_builder(name: str, root: str) -> Any:
    """The `tfds.core.DatasetBuilder` of a name, with its sizes if it is prepared in the data folder `root`.

    Raises:
      InputError: unknown name, configuration or version.
      MachineError: its metadata in `root` is damaged, or a package that it needs is not installed.
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
    except ImportError as error:
        raise package_missing(name, error) from error
    except (ValueError, AssertionError) as error:
        # For a plain name, damaged metadata; otherwise a configuration, version or namespace TFDS lacks.
        if name.isidentifier():
            raise damaged(name, Path(root, name), error) from error
        reason = re.sub(r'^Failed to construct .*}": ', "", first_line(error))
        raise InputError(f"--dataset={name} cannot be loaded: {reason}") from error


def _unknown_name(name: str) -> str:
    import tensorflow_datasets as tfds

    known = {*_WELL_KNOWN, *GENERATED, *tfds.list_builders(with_community_datasets=False)}
    nearest = difflib.get_close_matches(name, known)
    hint = f"Did you mean {' or '.join(nearest)}?" if nearest else f"Try {', '.join(_WELL_KNOWN)}."
    return f"--dataset={name}: no such set here or in TensorFlow Datasets. {hint}"


def classification_features(name: str, builder: Any) -> Features:
    """The input and the classes of a set with the features `image` or `text`, and `label`.

    Raises:
      InputError: it has no such features, or no uint8 images of one fixed size.
    """
    import tensorflow_datasets as tfds

    features = builder.info.features
    named: Any = dict(features) if isinstance(features, tfds.features.FeaturesDict) else {}
    image, text, label = named.get("image"), named.get("text"), named.get("label")
    is_image = isinstance(image, tfds.features.Image)
    if not (is_image or isinstance(text, tfds.features.Text)) or not isinstance(label, tfds.features.ClassLabel):
        raise InputError(
            f"--dataset={name} is no set to classify: it lacks the features `image` or `text`, and `label`. "
            f"Choose one that has them, such as {', '.join(_WELL_KNOWN)}, imdb_reviews."
        )
    if not is_image:
        return Features("text", label.num_classes)
    if None in image.shape or image.np_dtype != np.uint8:
        raise InputError(
            f"--dataset={name} has images of shape {image.shape} and type {np.dtype(image.np_dtype).name}; "
            f"uint8 images of one fixed size are needed, as in {', '.join(_WELL_KNOWN)}."
        )
    return Features("image", label.num_classes)


def package_missing(name: str, error: ImportError) -> MachineError:
    """The error to raise when TFDS needs a package that it does not bring along."""
    return MachineError(
        f"--dataset={name} needs a Python package that cannot be imported here: {first_line(error)}\n"
        "Install it with pip, or choose another set."
    )


def damaged(name: str, folder: Path, reason: Exception | str) -> MachineError:
    """The error to raise when what lies in `folder` cannot be read."""
    return MachineError(
        f"--dataset={name}: the data in {folder} is damaged: {first_line(reason)}\n"
        "Delete that folder and run again (it is prepared anew), or choose another --data_dir."
    )
