"""Which kernels TensorFlow computes with on a CPU: oneDNN's, where TensorFlow would take its own.

TensorFlow takes oneDNN's by itself on processors with AVX512-VNNI or AMX. With AVX2 alone they are faster as well, by
a third (docs/performance.md). It asks for them once, when it is loaded.
"""

import contextlib
import os
import platform
from collections.abc import Iterator

_VARIABLE = "TF_ENABLE_ONEDNN_OPTS"
# Where this is set, memory on the CPU has a limit. A convolution of oneDNN that reaches it dies of SIGSEGV (TensorFlow
# 2.21), where TensorFlow's own raises ResourceExhaustedError.
_LIMIT = "TF_CPU_BFC_MEM_LIMIT_IN_MB"


@contextlib.contextmanager
def fastest_kernels() -> Iterator[None]:
    """TensorFlow, if it is imported in here for the first time, computes with oneDNN.

    Nothing is changed where the user has set ``TF_ENABLE_ONEDNN_OPTS``, where memory on the CPU is limited
    (``TF_CPU_BFC_MEM_LIMIT_IN_MB``), and on other processors than x86. Processes that this one starts choose for
    themselves: the environment is as before in the end.
    """
    if _VARIABLE in os.environ or _LIMIT in os.environ or platform.machine() not in ("x86_64", "AMD64"):
        yield
        return
    os.environ[_VARIABLE] = "1"
    try:
        yield
    finally:
        del os.environ[_VARIABLE]


def uses_onednn() -> bool:
    """Whether TensorFlow computes with oneDNN in this process."""
    from tensorflow.python.util import _pywrap_util_port  # TensorFlow has no public name for it

    return bool(_pywrap_util_port.IsMklEnabled())
