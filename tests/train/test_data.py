"""The input pipeline: coverage, order, resume, shifts."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from tests.train.sources import array_source
from train import data

_SETTINGS = {"global_batch_size": 16, "seed": 7, "num_epochs": 3, "max_shift": 3, "mirror": True}
_NUM_EXAMPLES = 41  # three steps per epoch: 16, 16, 9


def _batches(source: data.Source, **overrides) -> list:
    return list(data.train_batches(source, **{**_SETTINGS, **overrides}).as_numpy_iterator())


def _labels(source: data.Source, **overrides) -> list:
    return [labels.tolist() for _, labels in _batches(source, **overrides)]


def _assert_same(actual: list, expected: list) -> None:
    assert len(actual) == len(expected)
    for actual_batch, expected_batch in zip(actual, expected, strict=True):
        for actual_part, expected_part in zip(actual_batch, expected_batch, strict=True):
            np.testing.assert_array_equal(actual_part, expected_part)


@pytest.fixture(scope="module")
def source() -> data.Source:
    return array_source(_NUM_EXAMPLES)


class TestEpoch:
    def test_holds_every_example_exactly_once(self, source):
        labels = _labels(source)
        for epoch in range(3):
            seen = sum(labels[3 * epoch : 3 * epoch + 3], [])
            assert sorted(seen) == list(range(_NUM_EXAMPLES))

    def test_keeps_the_uneven_last_batch(self, source):
        assert [len(batch) for batch in _labels(source)] == [16, 16, 9] * 3

    def test_has_an_order_of_its_own(self, source):
        labels = _labels(source)
        assert labels[0:3] != labels[3:6] != labels[6:9]
        assert sum(labels[0:3], []) != list(range(_NUM_EXAMPLES))

    def test_can_be_smaller_than_a_batch(self):
        assert [len(batch) for batch in _labels(array_source(5))] == [5, 5, 5]

    def test_is_covered_beyond_the_shuffle_buffer(self, source, monkeypatch):
        monkeypatch.setattr(data, "SHUFFLE_BUFFER_EXAMPLES", 10)
        assert sorted(sum(_labels(source, num_epochs=1), [])) == list(range(_NUM_EXAMPLES))


class TestRandomness:
    def test_repeats_with_the_seed(self, source):
        _assert_same(_batches(source), _batches(source))

    @pytest.mark.parametrize("seed", [0, -1, 2**40])
    def test_depends_on_the_seed(self, source, seed):
        assert _labels(source, seed=seed) != _labels(source)

    def test_ignores_the_global_seed(self, source):
        expected = _batches(source)
        for global_seed in (0, 1):
            tf.random.set_seed(global_seed)
            _assert_same(_batches(source), expected)

    def test_leaves_the_global_seed_alone(self, source):
        tf.random.set_seed(3)
        expected = tf.random.uniform([4]).numpy()
        tf.random.set_seed(3)
        data.train_batches(source, **_SETTINGS)
        np.testing.assert_array_equal(tf.random.uniform([4]).numpy(), expected)

    def test_shifts_differ_between_steps(self):
        images = np.concatenate([images for images, _ in _batches(array_source(16))])
        corners = [tuple(np.argwhere(image[..., 0] > 0)[0]) for image in images]
        assert corners[:16] != corners[16:32] != corners[32:]


class TestResume:
    @pytest.mark.parametrize("first_step", [1, 2, 3, 4, 8, 9])
    def test_sees_the_batches_of_the_uninterrupted_run(self, source, first_step):
        _assert_same(_batches(source, first_step=first_step), _batches(source)[first_step:])

    def test_knows_how_many_are_left(self, source):
        assert len(data.train_batches(source, **_SETTINGS, first_step=4)) == 5
        assert len(data.train_batches(source, **_SETTINGS, first_step=12)) == 0


class TestElements:
    @pytest.mark.parametrize("dtype", ["float32", "float64"])
    def test_are_images_in_the_unit_range_and_labels(self, source, dtype):
        for batches in (
            data.train_batches(source, **_SETTINGS, dtype=dtype),
            data.eval_batches(source, global_batch_size=2, dtype=dtype),
        ):
            images, labels = batches.element_spec
            assert (images.shape.as_list(), images.dtype) == ([None, 8, 8, 1], tf.as_dtype(dtype))
            assert (labels.shape.as_list(), labels.dtype) == ([None], tf.int64)
            values = np.concatenate([images.ravel() for images, _ in batches.as_numpy_iterator()])
            assert values.min() >= 0
            assert 1 / 255 <= values.max() <= 1

    def test_are_divided_in_their_own_precision(self):
        pixel = data.to_model_input(tf.constant([1], tf.uint8), "float64").numpy()
        assert pixel.tolist() == [1 / 255]

    def test_numbers_are_cast_and_the_whole_numbers_of_texts_stay(self):
        assert data.to_model_input(tf.constant([0.5], tf.float32), "float64").dtype == tf.float64
        assert data.to_model_input(tf.constant([7], tf.int32), "float64").numpy().tolist() == [7]

    def test_are_traced_once_by_a_step_with_their_spec(self, source):
        traces, batches = [], data.train_batches(source, **_SETTINGS)

        @tf.function(input_signature=batches.element_spec)
        def step(images, labels):
            traces.append(images.shape)
            return tf.reduce_sum(images) + tf.cast(tf.reduce_sum(labels), tf.float32)

        for batch in batches:
            step(*batch)
        assert len(traces) == 1


class TestCache:
    def test_is_filled_once_for_all_epochs_and_runs(self, source):
        reads = tf.Variable(0)
        counted = tf.data.Dataset.range(_NUM_EXAMPLES).map(
            lambda label: (tf.zeros([8, 8, 1], tf.uint8), label + tf.cast(0 * reads.assign_add(1), tf.int64))
        )
        source = dataclasses.replace(source, train=counted.cache())
        for _ in range(2):
            assert len(_labels(source)) == 9
        assert reads.numpy() == _NUM_EXAMPLES


class TestEvalBatches:
    def test_hold_the_test_split_in_stored_order_unshifted(self, source):
        batches = list(data.eval_batches(source, global_batch_size=2).as_numpy_iterator())
        assert [labels.tolist() for _, labels in batches] == [[0, 1], [2, 3], [4]]
        for images, labels in batches:
            expected = np.broadcast_to((labels + 1)[:, None, None, None] / 255, images.shape)
            np.testing.assert_allclose(images, expected, rtol=1e-6)


class TestShiftRandomly:
    def _shifted(self, max_shift: int, num_images: int = 3000) -> np.ndarray:
        images = tf.ones([num_images, 9, 12, 2], tf.uint8)
        return data.shift_randomly(images, max_shift, seed=(1, 2)).numpy()

    def test_covers_every_shift_and_brings_in_zeros_only(self):
        shifts = set()
        for image in self._shifted(3):
            rows, columns = image[..., 0].any(axis=1), image[..., 0].any(axis=0)
            down = int(rows.argmax()) or -int(rows[::-1].argmax())
            right = int(columns.argmax()) or -int(columns[::-1].argmax())
            shifts.add((down, right))
            # Wrapped-around rows would keep the sum; a shift that ate too much would make it smaller.
            assert image.sum() == 2 * (9 - abs(down)) * (12 - abs(right))
        assert shifts == {(down, right) for down in range(-3, 4) for right in range(-3, 4)}

    def test_moves_pixels_without_changing_them(self):
        image = np.arange(1, 50, dtype=np.uint8).reshape(1, 7, 7, 1)
        padded = np.pad(image[0, ..., 0], 3)
        windows = [padded[y : y + 7, x : x + 7].tolist() for y in range(7) for x in range(7)]
        for step in range(20):
            shifted = data.shift_randomly(tf.constant(image), 3, seed=(0, step))
            assert shifted[0, ..., 0].numpy().tolist() in windows

    def test_is_uniform(self):
        down = np.array([image[..., 0].any(axis=1).argmax() for image in self._shifted(1)])
        assert abs(np.mean(down == 1) - 1 / 3) < 0.04

    def test_of_zero_changes_nothing(self):
        assert (self._shifted(0, 10) == 1).all()


class TestMirrorRandomly:
    def test_turns_about_half_of_the_images_and_nothing_else(self):
        images = np.arange(400 * 6, dtype=np.uint8).reshape(400, 2, 3, 1)
        mirrored = data.mirror_randomly(tf.constant(images), seed=(1, 2)).numpy()
        turned = (mirrored == images[:, :, ::-1]).all(axis=(1, 2, 3))
        assert ((mirrored == images).all(axis=(1, 2, 3)) != turned).all()
        assert 150 < turned.sum() < 250
        np.testing.assert_array_equal(data.mirror_randomly(tf.constant(images), seed=(1, 2)), mirrored)
