"""The default data set: 1,797 real handwritten digits that ship inside scikit-learn, so no network is needed.

They are the test part of the UCI "Optical Recognition of Handwritten Digits" data set, 8x8 pixels with values
0..16. Here they become what an MNIST model expects: 28x28x1 uint8 with values 0..255.

The split is stratified 80/20 with ``random_state=0``, the first seed anybody would take: it was not chosen by
result. ``train/dataset_source.py`` prepares the set on first use.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

IMAGE_SIZE = 28
NUM_CLASSES = 10
_GREATEST_VALUE = 16  # scikit-learn's digits count the dark ones of 4x4 = 16 binary pixels
_TEST_SHARE = 0.2


def upscale(images: np.ndarray) -> np.ndarray:
    """Makes [n, 8, 8] images with values 0..16 into [n, 28, 28, 1] uint8 images with values 0..255.

    Bilinear, because it cannot leave the range of its inputs (cubic overshoots at the edges of a stroke), and
    with pixels as areas (``grid_mode``), so that the digit stays centred. SciPy does it: it comes with
    scikit-learn, and one call takes the whole stack.
    """
    from scipy import ndimage

    factor = IMAGE_SIZE / images.shape[1]
    zoomed = ndimage.zoom(images.astype(np.float64), (1, factor, factor), order=1, mode="nearest", grid_mode=True)
    return np.rint(zoomed * (255 / _GREATEST_VALUE)).astype(np.uint8)[..., np.newaxis]


def load_splits() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """The images ([n, 28, 28, 1] uint8) and labels ([n] int64) of "train" (1,437) and "test" (360)."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    digits = load_digits()
    images, labels = upscale(digits.images), digits.target.astype(np.int64)
    train, test = train_test_split(np.arange(len(labels)), test_size=_TEST_SHARE, stratify=labels, random_state=0)
    return {"train": (images[train], labels[train]), "test": (images[test], labels[test])}


class Builder(tfds.core.GeneratorBasedBuilder):
    """TFDS builder of ``digits``; nothing is downloaded."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "scikit-learn's digits, upscaled to 28x28, split 80/20."}

    def _info(self) -> tfds.core.DatasetInfo:
        return self.dataset_info_from_configs(
            description="1,797 handwritten digits (UCI, by way of scikit-learn), upscaled from 8x8 to 28x28.",
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(shape=(IMAGE_SIZE, IMAGE_SIZE, 1)),
                    "label": tfds.features.ClassLabel(num_classes=NUM_CLASSES),
                }
            ),
            supervised_keys=("image", "label"),
            homepage="https://archive.ics.uci.edu/dataset/80/optical+recognition+of+handwritten+digits",
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Iterator[tuple[int, dict[str, Any]]]]:
        del dl_manager  # Nothing to download.
        return {name: self._generate_examples(*split) for name, split in load_splits().items()}

    def _generate_examples(self, images: np.ndarray, labels: np.ndarray) -> Iterator[tuple[int, dict[str, Any]]]:
        for position, (image, label) in enumerate(zip(images, labels, strict=True)):
            yield position, {"image": image, "label": int(label)}
