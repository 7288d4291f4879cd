"""Turns flags into what a training run needs, and refuses what cannot work: seeds, schedule."""

import keras
import tensorflow as tf
from absl import flags

from configs.recipe import Recipe
from distribute import Devices
from train.data import Source, steps_per_epoch
from train.errors import InputError
from train.training import Schedule


def require_batch_for_each_replica(recipe: Recipe, devices: Devices) -> None:
    """Refuses a global batch that leaves a replica without examples.

    Raises:
      InputError: there are more replicas than examples in a batch.
    """
    if recipe.global_batch_size < len(devices.names):
        raise InputError(
            f"--global_batch_size={recipe.global_batch_size} leaves some of {len(devices.names)} replicas without "
            f"examples: give at least {len(devices.names)}, or fewer --virtual_gpus"
        )


def configure_keras(recipe: Recipe, *, deterministic: bool) -> None:
    """Sets the recipe's dtype and seeds; `deterministic` also makes operations repeat themselves bit for bit."""
    keras.config.set_dtype_policy(recipe.dtype_policy)
    keras.utils.set_random_seed(recipe.seed)
    if deterministic:
        tf.config.experimental.enable_op_determinism()


def make_schedule(values: flags.FlagValues, recipe: Recipe, source: Source, first_step: int) -> Schedule:
    """``--steps`` where given, else the recipe's epochs; both count from the very first step of the run."""
    per_epoch = steps_per_epoch(source.num_train_examples, recipe.global_batch_size)
    num_steps = values.steps if values.steps is not None else recipe.epochs * per_epoch
    return Schedule(first_step=first_step, num_steps=num_steps, steps_per_epoch=per_epoch)
