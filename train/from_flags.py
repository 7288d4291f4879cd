"""Turns flags into what a run needs, and refuses what cannot work: devices, seeds, schedule."""

import keras
import tensorflow as tf
from absl import flags

from configs.recipe import Recipe
from distribute import DeviceError, Devices, split_device
from train.data import Source, steps_per_epoch
from train.errors import InputError, MachineError
from train.training import Schedule


def make_devices(values: flags.FlagValues) -> Devices:
    """Splits the machine as ``--virtual_gpus``, ``--memory_limit``, ``--device`` and ``--memory_policy`` say.

    Raises:
      InputError: the flags contradict each other.
      MachineError: the machine does not have what was asked.
    """
    # A real machine is used as it is: one replica for each GPU. A CPU is one device.
    num_devices = values.virtual_gpus
    if num_devices is None:
        num_gpus = 0 if values.device == "cpu" else len(tf.config.list_physical_devices("GPU"))
        num_devices = max(1, num_gpus)
    try:
        return split_device(
            num_devices, memory_limit_mib=values.memory_limit, kind=values.device, policy=values.memory_policy
        )
    except DeviceError as error:
        raise MachineError(str(error)) from error
    except ValueError as error:
        raise InputError(str(error)) from error


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
