"""A recipe that does not fit its data is refused in one message, before anything is built."""

import dataclasses

import pytest
import tensorflow as tf

from configs import digits, line, text_classifier
from train.errors import InputError
from train.recipe_data import load_subject


def refused(recipe, **fields):
    with pytest.raises(InputError) as caught:
        load_subject("my_recipe", dataclasses.replace(recipe, **fields), None)
    assert len(str(caught.value)) < 400
    return str(caught.value)


class TestLoadSubject:
    def test_numbers(self):
        source = load_subject("configs.line", line.get_config(), None).source
        assert (source.input_shape, source.num_outputs) == ((1,), 1)
        assert (source.num_train_examples, source.num_test_examples) == (800, 200)
        assert not source.holds_images

    def test_texts(self):
        subject = load_subject("configs.text_classifier", text_classifier.get_config(), None)
        assert (subject.source.input_shape, subject.source.num_outputs) == ((32,), 2)
        tokens, labels = next(iter(subject.batches()))
        assert (tokens.dtype, tokens.shape) == (tf.int32, (64, 32))
        assert labels.dtype == tf.int64

    def test_texts_that_nothing_reads(self):
        text = refused(digits.get_config(), dataset="reviews", max_shift=0)
        assert "reviews holds texts" in text
        assert "sequence_length and vocabulary_size" in text

    def test_a_reader_of_texts_without_any(self):
        text = refused(line.get_config(), sequence_length=8, vocabulary_size=100)
        assert "reads texts, and line holds none" in text

    @pytest.mark.parametrize("fields", [{"max_shift": 2}, {"mirror": True}])
    def test_what_is_for_images_alone(self, fields):
        assert "line holds no images" in refused(line.get_config(), **fields)

    def test_a_measure_for_other_labels(self):
        classes = refused(line.get_config(), measure=digits.get_config().measure)
        assert "labels float32 (None, 1) are no classes" in classes
        targets = refused(digits.get_config(), measure=line.get_config().measure)
        assert "targets (None,) and predictions (None, 10): one for each target is needed" in targets

    def test_a_measure_that_returns_a_mean(self):
        text = refused(line.get_config(), measure=lambda y, p: {"loss": tf.reduce_mean(p)})
        assert "measure returns loss (); a loss is needed, and one value for each example" in text

    def test_a_measure_without_a_loss(self):
        assert "measure returns error (None,); a loss" in refused(
            line.get_config(), measure=lambda y, p: {"error": p[:, 0]}
        )
