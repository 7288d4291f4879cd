"""Scripts compute with oneDNN's kernels on x86, except where the user has chosen or memory is limited."""

import os
import platform
import subprocess
import sys

import pytest

from tests.process import REPOSITORY
from train.kernels import fastest_kernels

CODE = """
import os
from train.kernels import fastest_kernels, uses_onednn

with WITH:
    import tensorflow
print(uses_onednn(), os.environ.get("TF_ENABLE_ONEDNN_OPTS"))
"""

pytestmark = pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="another processor than x86")


def kernels_with(manager="fastest_kernels()", **environment):
    """Whether a fresh TensorFlow uses oneDNN, and what the environment says afterwards."""
    kept = {name: value for name, value in os.environ.items() if name != "TF_ENABLE_ONEDNN_OPTS"}
    result = subprocess.run(
        [sys.executable, "-c", CODE.replace("WITH", manager)],
        cwd=REPOSITORY,
        env={**kept, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return tuple(result.stdout.split())


class TestFastestKernels:
    def test_are_those_of_onednn_in_this_process_alone(self):
        assert kernels_with() == ("True", "None")

    def test_what_the_user_set_stays(self):
        assert kernels_with(TF_ENABLE_ONEDNN_OPTS="0") == ("False", "0")

    @pytest.mark.proof
    def test_are_left_to_tensorflow_where_memory_is_limited(self):
        limited = {"TF_CPU_ALLOCATOR_USE_BFC": "true", "TF_CPU_BFC_MEM_LIMIT_IN_MB": "512"}
        assert kernels_with(**limited) == kernels_with("open(os.devnull)", **limited)

    def test_leave_no_trace_where_the_import_fails(self, monkeypatch):
        monkeypatch.delenv("TF_ENABLE_ONEDNN_OPTS", raising=False)
        with pytest.raises(ImportError), fastest_kernels():
            raise ImportError
        assert "TF_ENABLE_ONEDNN_OPTS" not in os.environ
