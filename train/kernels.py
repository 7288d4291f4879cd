"""Which library computes on a CPU: decided by a variable that TensorFlow reads when it is imported."""

import platform
from collections.abc import MutableMapping

_VARIABLE = "TF_ENABLE_ONEDNN_OPTS"


def choose_kernels(environment: MutableMapping[str, str]) -> None:
    """Takes oneDNN on every x86 processor; what the user has set stays.

    TensorFlow by itself takes it only where the processor has AVX512-VNNI or AMX, and Eigen elsewhere. On a processor
    with AVX2 alone convolutions are faster with it, too: docs/performance.md has the measurement. Results differ by
    rounding. It computes in float32 and bfloat16; float64 stays with Eigen.
    """
    if platform.machine().lower() in ("x86_64", "amd64"):
        environment.setdefault(_VARIABLE, "1")
