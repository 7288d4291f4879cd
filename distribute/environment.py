"""The software and hardware that a result was measured with."""

import platform
from typing import Any

import keras
import tensorflow as tf

from . import nvml
from .machine import read_inventory


def describe_environment() -> dict[str, Any]:
    """The ``environment`` entry of ``report.json``: versions, GPU models and driver."""
    return {
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "gpus": [gpu.model for gpu in read_inventory().gpus],
        "driver": nvml.driver_version(),
    }
