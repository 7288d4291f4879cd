"""All tests of one process share eight logical CPUs: TensorFlow's device configuration belongs to the process."""

import os

# Before TensorFlow is imported: a machine without a GPU needs no lines about CUDA in its test log.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import pytest
import tensorflow as tf

NUM_LOGICAL_CPUS = 8


@pytest.fixture(scope="session", autouse=True)
def _eight_logical_cpus():
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * NUM_LOGICAL_CPUS)


@pytest.fixture
def strategy_of():
    """Makes a strategy over the first N logical CPUs, with the ops that `make_strategy` takes there."""

    def make(num_replicas):
        if num_replicas == 1:
            return tf.distribute.get_strategy()
        names = [f"CPU:{index}" for index in range(num_replicas)]
        return tf.distribute.MirroredStrategy(names, cross_device_ops=tf.distribute.ReductionToOneDevice())

    return make
