"""How many threads TensorFlow computes with: how many operations at once, and how many threads for each of them.

On a CPU the replicas are what runs at once, so each operation gets one thread of its own instead of all of them: N
replicas then share the cores without waiting for each other inside every operation. Measured by
``python -m benchmarks.thread_pools``; the table is in docs/performance.md.
"""

import os
from dataclasses import dataclass

import tensorflow as tf

from .devices import Devices

_VARIABLES = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")


@dataclass(frozen=True)
class ThreadPools:
    """Sizes of TensorFlow's two pools; 0 leaves one to TensorFlow, which takes as many threads as there are cores.

    Attributes:
      intra_op: threads for one operation.
      inter_op: operations at once.
      reason: why.
    """

    intra_op: int
    inter_op: int
    reason: str


def choose_thread_pools(kind: str, num_replicas: int, num_cores: int, num_processes: int = 1) -> ThreadPools:
    """What is fastest for so many replicas in one process.

    Args:
      kind: of the devices: ``gpu`` or ``cpu``.
      num_replicas: in this process.
      num_cores: of the machine, as far as this process may use them.
      num_processes: that share them, each with as many replicas.
    """
    if kind == "gpu":
        return ThreadPools(0, 0, "the GPU computes, and the CPU prepares its input with all cores")
    if num_replicas == 1 and num_processes == 1:
        return ThreadPools(0, 0, "one replica needs all cores for each operation")
    if num_replicas == 1:
        share = max(1, num_cores // num_processes)
        return ThreadPools(share, num_cores, "a share of the cores for each operation; sums go on beside them")
    return ThreadPools(1, num_cores, "replicas run at once, each operation on one core")


def set_thread_pools(
    devices: Devices, *, intra_op: int | None = None, inter_op: int | None = None, num_processes: int = 1
) -> ThreadPools:
    """Sets TensorFlow's pools for `devices`, before its first operation; what the user has set himself stays.

    Args:
      devices: from `split_device`.
      intra_op: threads for one operation; None for what is fastest.
      inter_op: operations at once; None for what is fastest.
      num_processes: that share this machine, each with as many replicas.

    Returns:
      What holds now.

    Raises:
      RuntimeError: TensorFlow has run operations already.
    """
    chosen = choose_thread_pools(devices.kind, len(devices.names), len(os.sched_getaffinity(0)), num_processes)
    threading = tf.config.threading
    set_before = (threading.get_intra_op_parallelism_threads(), threading.get_inter_op_parallelism_threads())
    if intra_op is None and inter_op is None and (any(set_before) or any(name in os.environ for name in _VARIABLES)):
        return ThreadPools(*set_before, "set before, by the program or its environment")
    if intra_op is not None or inter_op is not None:
        chosen = ThreadPools(
            chosen.intra_op if intra_op is None else intra_op,
            chosen.inter_op if inter_op is None else inter_op,
            "asked for",
        )
    threading.set_intra_op_parallelism_threads(chosen.intra_op)
    threading.set_inter_op_parallelism_threads(chosen.inter_op)
    return chosen
