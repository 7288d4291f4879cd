"""Recipes and runs for the tests of ``--isolation=process``."""

import json
import subprocess
import sys

import numpy as np
import psutil
import tensorflow as tf

from tests.process import REPOSITORY, wait_until

# In float64 what differs is rounding. Neither two nor three replicas share a batch of 55, nor two the rest of 7.
FLOAT64 = """
import dataclasses
from configs import digits

def get_config():
    return dataclasses.replace(digits.get_config(), dtype_policy="float64", global_batch_size=55)
"""

# Does something on replica 1 alone, in the step of training.
ON_REPLICA_1 = """
import os, signal, time
import keras
import numpy as np
import tensorflow as tf
from configs.recipe import Recipe

def take_memory(inputs):
    rows = 200 + tf.cast(tf.reduce_min(inputs), tf.int32)  # of images, so 200: TensorFlow would fold a constant
    return tf.reduce_sum(tf.fill([rows, 2**20], 1.0))  # 800 MiB

def in_python(function):
    value = tf.numpy_function(lambda: np.float32(function() or 0), [], tf.float32)
    value.set_shape([])
    return value

class OnReplica1(keras.layers.Layer):
    def call(self, inputs, training=None):
        replica = tf.distribute.get_replica_context()
        if not training or replica is None or replica.num_replicas_in_sync == 1:
            return inputs
        act = lambda: %s
        extra = tf.cond(tf.equal(replica.replica_id_in_sync_group, 1), act, lambda: 0.0)
        return inputs + 0.0 * extra

def build(shape, classes):
    return keras.Sequential([keras.Input(shape), keras.layers.Flatten(), OnReplica1(), keras.layers.Dense(classes)])

def get_config():
    return Recipe(build_model=build, build_optimizer=keras.optimizers.Adam)
"""
TAKES_MEMORY = ON_REPLICA_1 % "take_memory(inputs)"
CRASHES = ON_REPLICA_1 % "in_python(lambda: os.kill(os.getpid(), signal.SIGSEGV))"
NEVER_RETURNS = ON_REPLICA_1 % "in_python(lambda: open(__file__ + '.started', 'w').close() or time.sleep(600))"

# Its model keeps a sum over replicas: to read it for a checkpoint, all processes have to add up what they have.
KEEPS_A_SUM = """
import keras
import tensorflow as tf
from configs.recipe import Recipe

class Keeps(keras.layers.Layer):
    def build(self, shape):
        self.sum = tf.Variable(
            0.0,
            trainable=False,
            synchronization=tf.VariableSynchronization.ON_READ,
            aggregation=tf.VariableAggregation.SUM,
        )

    def call(self, inputs):
        if tf.distribute.get_replica_context() is not None:
            self.sum.assign_add(tf.cast(tf.shape(inputs)[0], tf.float32))
        return inputs

def build(shape, classes):
    return keras.Sequential([keras.Input(shape), keras.layers.Flatten(), Keeps(), keras.layers.Dense(classes)])

def get_config():
    return Recipe(build_model=build, build_optimizer=keras.optimizers.Adam)
"""

STOPS_WHILE_IT_BUILDS = """
import json, os, signal
import keras
from configs.recipe import Recipe

def build(shape, classes):
    if json.loads(os.environ["TF_CONFIG"])["task"]["index"] == 0:
        os.kill(os.getpid(), signal.SIGTERM)
    return keras.Sequential([keras.Input(shape), keras.layers.Flatten(), keras.layers.Dense(classes)])

def get_config():
    return Recipe(build_model=build, build_optimizer=keras.optimizers.Adam)
"""


def report_of(folder):
    return json.loads((folder / "report.json").read_text())


def checkpoints_of(folder):
    return sorted(path.name for path in folder.glob("checkpoints/ckpt-*.index"))


def weights_of(folder, step):
    """A checkpoint's values by their names: weights, optimizer slots, means of the epoch; not the count of saves."""
    reader = tf.train.load_checkpoint(str(folder / f"checkpoints/ckpt-{step}"))
    types = reader.get_variable_to_dtype_map()
    return {
        name: reader.get_tensor(name)
        for name, dtype in types.items()
        if dtype != tf.string and "save_counter" not in name
    }


def assert_same_state(folder, other, step):
    values, expected = weights_of(folder, step), weights_of(other, step)
    assert values.keys() == expected.keys()
    assert len(values) > 20
    for name, value in values.items():
        np.testing.assert_allclose(value, expected[name], rtol=1e-9, atol=1e-9, err_msg=name)


class Run:
    """The command under way, and the processes that it starts."""

    def __init__(self, folder, *flags, num_replicas=2):
        flags = [f"--virtual_gpus={num_replicas}", "--isolation=process", f"--output_dir={folder}", *flags]
        self.folder, self.num_replicas = folder, num_replicas
        command = [sys.executable, str(REPOSITORY / "train/main.py"), *flags]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def workers(self):
        """Its processes, by their numbers."""
        found = {}
        for child in psutil.Process(self.process.pid).children():
            start = json.loads(child.cmdline()[-1])
            found[start["arguments"]["index"]] = child.pid
        return found

    def wait_for_workers(self):
        wait_until(lambda: len(self.workers()) == self.num_replicas)
        return self.workers()

    def wait_for_training(self):
        """Returns the process ids, in order, when a checkpoint is there."""
        wait_until(lambda: checkpoints_of(self.folder) or self.process.poll() is not None)
        return [pid for _, pid in sorted(self.workers().items())]

    def end(self):
        """Waits for the end; returns exit code, standard output and standard error."""
        output, error = self.process.communicate(timeout=60)
        return self.process.returncode, output, error
