"""Eight logical CPUs for every test of this folder: TensorFlow's devices can be split once per process."""

import pytest
import tensorflow as tf

NUM_CPUS = 8


@pytest.fixture(scope="session", autouse=True)
def logical_cpus():
    if len(tf.config.list_logical_devices("CPU")) < NUM_CPUS:
        raise RuntimeError("TensorFlow was initialised before the tests could split the CPU")


def pytest_configure(config):
    cpu = tf.config.list_physical_devices("CPU")[0]
    if tf.config.get_logical_device_configuration(cpu) is None:
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * NUM_CPUS)
