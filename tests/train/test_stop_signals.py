"""A stop stays a stop, whatever the code that it interrupts makes of it."""

import signal
import subprocess
import sys

import pytest

from tests.process import REPOSITORY

# Descriptors as Keras' and TensorFlow's classes have them; before Python 3.12 the class statement raises RuntimeError.
INTERRUPTED_CLASS = """
import os, sys
from absl import flags
from train import flags as train_flags, script

class Interrupted:
    def __set_name__(self, owner, name):
        os.kill(os.getpid(), {number})

def main(output):
    try:
        class Made:
            interrupted = Interrupted()
    except BaseException as error:
        raise RuntimeError("cannot make the class") from error

train_flags.define_output_flags()
script.run(main, needs_tensorflow=False)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_import_is_a_stop(number):
    command = [sys.executable, "-c", INTERRUPTED_CLASS.format(number=int(number))]
    result = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (128 + number, f"-c: stopped by {number.name}\n")
