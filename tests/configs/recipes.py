"""The recipes of ``configs/``, on data that needs no network."""

import contextlib
import dataclasses
import importlib
import pkgutil

import keras
import numpy as np
import tensorflow as tf

import configs
from train.data import Source
from train.dataset_source import GENERATED
from train.recipe_data import load_subject
from train.verification import Subject

NAMES = sorted(
    name
    for _, name, _ in pkgutil.iter_modules(configs.__path__)
    if hasattr(importlib.import_module(f"configs.{name}"), "get_config")
)
_SHAPES = {"cifar10": (16, 16, 3)}  # a quarter of the pixels, and of the time


def recipe_of(name):
    """The recipe as it stands in ``configs/``."""
    return importlib.import_module(f"configs.{name}").get_config()


def small_subject(name, *, global_batch_size, num_examples):
    """A recipe on so many examples: the first ones of its generated set, or noise of the shape of its images."""
    recipe = dataclasses.replace(recipe_of(name), global_batch_size=global_batch_size)
    if recipe.dataset not in GENERATED:
        return Subject(f"configs.{name}", recipe, _noise(_SHAPES.get(recipe.dataset, (28, 28, 1)), num_examples))
    subject = load_subject(f"configs.{name}", recipe, None)
    train = subject.source.train.take(num_examples)
    source = dataclasses.replace(subject.source, train=train, num_train_examples=num_examples)
    return dataclasses.replace(subject, source=source)


def _noise(shape, num_examples):
    rng = np.random.default_rng(0)
    arrays = rng.integers(0, 256, [num_examples, *shape], np.uint8), rng.integers(0, 10, num_examples)
    examples = tf.data.Dataset.from_tensor_slices(arrays)
    return Source("noise", shape, 10, num_examples, num_examples, examples, examples, "memory")


@contextlib.contextmanager
def policy_of(recipe):
    """Keras in the recipe's dtype, as a run has it."""
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy(recipe.dtype_policy)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(policy)
