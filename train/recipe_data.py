"""Loads what a recipe trains on, and refuses a recipe that does not fit its data before anything is built."""

import functools

import tensorflow as tf

from configs.recipe import Recipe
from train.data import Source
from train.dataset_source import load_source
from train.errors import InputError
from train.recipes import call_recipe
from train.step import input_dtype
from train.texts import tokenize
from train.verification import Subject


def load_subject(config: str, recipe: Recipe, data_dir: str | None) -> Subject:
    """The recipe on its data.

    Args:
      config: the name of the recipe, as ``--config`` has it.
      recipe: the recipe itself, flags applied.
      data_dir: as `load_source` takes it.

    Raises:
      InputError: the recipe and its data do not fit; what `load_source` raises.
      MachineError: what `load_source` raises.
    """
    read_text = functools.partial(
        tokenize, sequence_length=recipe.sequence_length, vocabulary_size=recipe.vocabulary_size
    )
    source = load_source(recipe.dataset, data_dir, read_text=read_text if recipe.sequence_length else None)
    _require_fields_that_apply(config, recipe, source)
    _require_measures_of_examples(config, recipe, source)
    return Subject(config, recipe, source)


def _require_fields_that_apply(config: str, recipe: Recipe, source: Source) -> None:
    if not source.holds_images and (recipe.max_shift or recipe.mirror):
        raise InputError(
            f"--config={config} has max_shift={recipe.max_shift} and mirror={recipe.mirror}, and {source.name} holds "
            "no images: leave them out of the recipe, or choose another --dataset"
        )
    if recipe.sequence_length and source.input_dtype != tf.int32:
        raise InputError(
            f"--config={config} reads texts, and {source.name} holds none: choose another --dataset, such as reviews"
        )


def _require_measures_of_examples(config: str, recipe: Recipe, source: Source) -> None:
    """The measure is code of the recipe: tried on shapes alone, so that its mistakes are told as such."""
    labels = tf.TensorSpec([None, *source.label_spec.shape], source.label_spec.dtype)
    outputs = tf.TensorSpec([None, source.num_outputs], input_dtype(recipe))
    measure = tf.function(recipe.measure, autograph=False)
    measured = call_recipe(config, measure.get_concrete_function, labels, outputs).structured_outputs
    shapes = {name: value.shape for name, value in measured.items()}
    if "loss" not in shapes or any(shape.rank != 1 for shape in shapes.values()):
        raise InputError(
            f"--config={config}: measure returns {', '.join(f'{name} {shape}' for name, shape in shapes.items())}; a "
            "loss is needed, and one value for each example, of shape (None,)"
        )
