"""Models of the recipes besides the conv net: sizes as documented, any shape of input, padding that does not count."""

import keras
import numpy as np
import pytest

from models import build_line, build_mlp, build_resnet, build_text_classifier
from models.text_classifier import TokenAndPosition


@pytest.mark.parametrize(
    ("build", "num_parameters"),
    [(build_line, 2), (build_mlp, 269_322), (build_resnet, 78_042), (build_text_classifier, 288_450)],
)
def test_has_the_size_that_its_docstring_says(build, num_parameters):
    assert sum(np.prod(variable.shape) for variable in build().trainable_variables) == num_parameters
    assert f"{num_parameters:,} parameters" in build.__doc__


class TestResNet:
    def test_takes_other_images_and_more_blocks(self):
        model = build_resnet((28, 28, 1), 7, blocks_per_stage=3)
        assert model.output_shape == (None, 7)
        convolutions = [layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]
        assert len([layer for layer in convolutions if layer.kernel_size == (3, 3)]) == 19  # and a dense layer: 20

    def test_takes_another_normalisation(self):
        model = build_resnet(make_normalization=lambda: keras.layers.GroupNormalization(4))
        assert not any(isinstance(layer, keras.layers.BatchNormalization) for layer in model.layers)


class TestTextClassifier:
    def test_padding_does_not_count(self):
        tokens = np.random.default_rng(0).integers(1, 50, size=(3, 5))
        padded = np.pad(tokens, [(0, 0), (0, 4)])
        model = build_text_classifier((9,), vocabulary_size=50)
        shorter = build_text_classifier((5,), vocabulary_size=50)
        weights = model.get_weights()
        weights[1] = weights[1][:5]  # as many positions
        shorter.set_weights(weights)
        np.testing.assert_allclose(model(padded), shorter(tokens), atol=1e-5)

    def test_the_order_of_the_words_counts(self):
        tokens = np.arange(1, 10)[None]
        model = build_text_classifier((9,), vocabulary_size=50)
        assert np.abs(model(tokens) - model(tokens[:, ::-1])).max() > 1e-3

    def test_is_loaded_as_it_was_saved(self, tmp_path):
        tokens = np.arange(1, 10)[None]
        model = build_text_classifier((9,), vocabulary_size=50)
        model.save(tmp_path / "model.keras")
        loaded = keras.models.load_model(tmp_path / "model.keras")
        np.testing.assert_array_equal(loaded(tokens), model(tokens))

    def test_a_text_longer_than_the_positions_is_refused(self):
        with pytest.raises(ValueError, match="a text of 12 numbers, and 8 positions: give sequence_length=12"):
            TokenAndPosition(vocabulary_size=50, sequence_length=8, dim=4)(keras.Input((12,), dtype="int32"))
