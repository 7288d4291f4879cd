"""The default data set, as TFDS prepares and reads it."""

import numpy as np
import pytest
import tensorflow as tf

from train.dataset_source import load_source
from train.digits.digits_dataset_builder import Builder, load_splits, upscale


@pytest.fixture(scope="module")
def splits(tmp_path_factory) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """(images, labels) by split, read back from the prepared records."""
    source = load_source("digits", str(tmp_path_factory.mktemp("data")))
    return {
        name: next(split.batch(10_000).as_numpy_iterator())
        for name, split in {"train": source.train, "test": source.test}.items()
    }


class TestDigits:
    def test_has_1437_training_and_360_test_examples(self, splits):
        assert {name: len(labels) for name, (_, labels) in splits.items()} == {"train": 1437, "test": 360}

    def test_has_28_by_28_images_over_the_whole_byte_range(self, splits):
        for images, labels in splits.values():
            assert images.shape[1:] == (28, 28, 1)
            assert (images.dtype, labels.dtype) == (np.uint8, np.int64)
            assert (images.min(), images.max()) == (0, 255)

    def test_splits_each_class_alike(self, splits):
        train, test = (np.bincount(splits[name][1], minlength=10) for name in ("train", "test"))
        assert len(train) == len(test) == 10
        np.testing.assert_allclose(test / (train + test), 0.2, atol=0.01)

    def test_survives_the_round_trip_through_records(self, splits):
        for name, (images, labels) in load_splits().items():
            assert _multiset(images, labels) == _multiset(*splits[name])

    def test_holds_each_of_scikit_learns_digits_exactly_once(self, splits):
        from sklearn.datasets import load_digits

        digits = load_digits()
        images, labels = (np.concatenate(parts) for parts in zip(*splits.values(), strict=True))
        assert _multiset(images, labels) == _multiset(upscale(digits.images), digits.target)

    def test_always_splits_alike(self):
        first, second = load_splits(), load_splits()
        assert all(np.array_equal(first[name][0], second[name][0]) for name in first)

    def test_is_a_tfds_builder_named_digits(self):
        assert Builder.name == "digits"
        assert Builder.url_infos is None


class TestUpscale:
    def test_keeps_the_range(self):
        images = upscale(np.stack([np.zeros((8, 8)), np.full((8, 8), 16.0)]))
        assert images.shape == (2, 28, 28, 1)
        assert (images[0] == 0).all()
        assert (images[1] == 255).all()

    def test_keeps_the_centre_of_mass(self):
        for row, column in [(0, 3), (5, 6)]:
            image = np.zeros((1, 8, 8))
            image[0, row : row + 2, column] = 16
            large = upscale(image)[0, ..., 0].astype(float)
            rows, columns = np.indices(large.shape)
            centre = (rows * large).sum() / large.sum(), (columns * large).sum() / large.sum()
            # Pixel centres: small pixel i covers 3.5*i .. 3.5*(i+1). The top row is cut off by the border.
            assert centre[1] == pytest.approx(3.5 * (column + 0.5) - 0.5, abs=0.05)
            assert centre[0] == pytest.approx(3.5 * (row + 1) - 0.5, abs=0.05 if row else 0.6)

    def test_agrees_with_tensorflows_bilinear_resize(self):
        images = np.random.default_rng(0).integers(0, 17, (4, 8, 8)).astype(float)
        expected = tf.image.resize(images[..., None] * 255 / 16, [28, 28], method="bilinear").numpy()
        np.testing.assert_allclose(upscale(images), expected, atol=0.51)


def _multiset(images: np.ndarray, labels: np.ndarray) -> list[tuple[bytes, int]]:
    return sorted((image.tobytes(), int(label)) for image, label in zip(images, labels, strict=True))
