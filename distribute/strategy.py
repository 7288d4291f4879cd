"""The `tf.distribute` strategy for a set of devices."""

import functools

import tensorflow as tf

from .device_plan import DeviceError
from .devices import Devices


@functools.cache
def make_strategy(devices: Devices) -> tf.distribute.Strategy:
    """A strategy with one replica on each of `devices`.

    One device gives TensorFlow's default strategy, under which `scope`, `run` and `reduce` do nothing special: code
    written for N replicas runs on one without a branch.

    The same devices get the same strategy for the life of the process. With TensorFlow's default collectives, which
    physical GPUs take, each new MirroredStrategy counts its collectives from the same number on, so that those of a
    second one clash with what the first one left there: "Collective instance 100 expected type 0 and data_type 2".

    Raises:
      DeviceError: a device does not exist. MirroredStrategy itself would build, and hang at its first step.
    """
    _check_existence(devices)
    if len(devices.names) == 1:
        return tf.distribute.get_strategy()
    return tf.distribute.MirroredStrategy(list(devices.names), cross_device_ops=_cross_device_ops(devices))


def _check_existence(devices: Devices) -> None:
    logical = [device.name.removeprefix("/device:") for device in tf.config.list_logical_devices()]
    missing = [name for name in devices.names if name not in logical]
    if missing:
        raise DeviceError(
            f"{', '.join(missing)} asked for, and TensorFlow has only {', '.join(logical)}: call split_device in this "
            "process, before the first TensorFlow operation"
        )


def _cross_device_ops(devices: Devices) -> tf.distribute.CrossDeviceOps | None:
    """How gradients are summed over replicas.

    - Virtual devices share one physical device. NCCL refuses two ranks on one GPU ("Duplicate GPU detected",
      nccl#1241), and on CPU the default collectives clash when one process runs two strategies ("Shape mismatch in the
      collective instance"). Summing on one device and copying back has neither trouble, and costs nothing extra where
      all "devices" are the same memory.
    - Physical GPUs: None leaves the choice to TensorFlow, which takes NCCL over NVLink or PCIe.
    - Not `HierarchicalCopyAllReduce`: with an odd number of replicas it drops one replica's gradient.
    """
    if devices.placement == "virtual" or devices.kind == "cpu":
        return tf.distribute.ReductionToOneDevice()
    return None
