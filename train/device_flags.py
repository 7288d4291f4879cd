"""Turns the device flags into devices; knows no recipe, so that every script can use it."""

from collections.abc import Callable
from typing import TypeVar

import tensorflow as tf
from absl import flags

from distribute import DeviceError, Devices, split_device
from distribute.threads import set_thread_pools
from train.errors import InputError, MachineError

Made = TypeVar("Made")


def make_devices(values: flags.FlagValues, *, least_replicas: int = 1) -> Devices:
    """Splits the machine as ``--virtual_gpus``, ``--memory_limit``, ``--device`` and ``--memory_policy`` say.

    Args:
      values: the parsed flags.
      least_replicas: how many replicas there are at least where ``--virtual_gpus`` is not given.

    Raises:
      InputError: the flags contradict each other.
      MachineError: the machine does not have what was asked.
    """
    return with_device_flags(split_device, values, least_replicas=least_replicas)


def set_speed(values: flags.FlagValues, devices: Devices, *, num_processes: int = 1) -> None:
    """Sets how operations are carried out: ``--intra_op_threads``, ``--inter_op_threads``, ``--xla``.

    Args:
      values: the parsed flags.
      devices: those of this process, which has not used TensorFlow yet.
      num_processes: of the run on this machine.
    """
    set_thread_pools(
        devices, intra_op=values.intra_op_threads, inter_op=values.inter_op_threads, num_processes=num_processes
    )
    if values.xla:
        # Not `jit_compile`: XLA compiles for one device, and a step over several uses variables of all of them.
        tf.config.optimizer.set_jit("autoclustering")


def with_device_flags(make: Callable[..., Made], values: flags.FlagValues, *, least_replicas: int = 1) -> Made:
    """What `make` makes of the device flags; its arguments, and what it may raise, are those of `split_device`.

    Raises:
      InputError: the flags contradict each other.
      MachineError: the machine does not have what was asked.
    """
    # A real machine is used as it is: one replica for each GPU. A CPU is one device.
    num_devices = values.virtual_gpus
    if num_devices is None:
        num_gpus = 0 if values.device == "cpu" else len(tf.config.list_physical_devices("GPU"))
        num_devices = max(least_replicas, num_gpus)
    try:
        return make(num_devices, memory_limit_mib=values.memory_limit, kind=values.device, policy=values.memory_policy)
    except DeviceError as error:
        raise MachineError(str(error)) from error
    except ValueError as error:
        raise InputError(str(error)) from error
