"""Imports TensorFlow without its greeting.

On a machine without a GPU every import logs several lines about CUDA that look like errors. `TF_CPP_MIN_LOG_LEVEL`
does not hold for them (TensorFlow 2.21 writes them before its log is initialised), so the stream itself is set aside
during the import. Where an NVIDIA driver is present everything stays visible: there the same lines are worth reading.
"""

import contextlib
import importlib
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from train.kernels import fastest_kernels


def import_tensorflow(*, quietly: bool) -> None:
    """Loads TensorFlow, with the kernels that `train.kernels` chooses.

    Args:
      quietly: what it writes to standard error is shown only if the import fails.
    """
    with fastest_kernels():
        if quietly:
            _import_quietly()
        else:
            importlib.import_module("tensorflow")


def _import_quietly() -> None:
    if Path("/proc/driver/nvidia/version").exists():
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "1")
        importlib.import_module("tensorflow")
        return
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with _stderr_set_aside():
        importlib.import_module("tensorflow")


@contextlib.contextmanager
def _stderr_set_aside() -> Iterator[None]:
    sys.stderr.flush()
    original = os.dup(2)
    with tempfile.TemporaryFile() as aside:
        os.dup2(aside.fileno(), 2)
        try:
            yield
        except Exception:  # not a stop
            os.dup2(original, 2)
            aside.seek(0)
            sys.stderr.write(aside.read().decode(errors="replace"))
            raise
        finally:
            os.dup2(original, 2)
            os.close(original)
