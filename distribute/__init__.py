"""Split devices, and prove that N replicas compute what one device computes, within their memory limits.

Imports nothing of the other folders: it can be taken alone into another project.
"""

from .assertion import assert_equivalent
from .device_plan import DeviceError
from .devices import Devices, split_device
from .equivalence import verify
from .equivalence_check.inputs import first_rows
from .log_explanation import Explained, explain
from .memory import MemoryCheck, check_memory, start_memory_check
from .memory_plan import MemoryPlan, MemoryPlanner
from .memory_tracking import MemoryRecord, track_memory
from .program import Program
from .remedies.clipping import clip_after_all_reduce
from .remedies.global_mean import global_mean
from .remedies.loss_scale import AllReplicasLossScaleOptimizer
from .remedies.mean_loss import GlobalMean
from .remedies.moving_statistics import average_moving_statistics
from .remedies.padding import pad_last_batch
from .remedies.randomness import per_replica_randomness
from .report import Check, EquivalenceError, Report
from .strategy import make_strategy
from .transport import TransportVerdict, check_transport

__all__ = [
    "AllReplicasLossScaleOptimizer",
    "Check",
    "DeviceError",
    "Devices",
    "EquivalenceError",
    "Explained",
    "GlobalMean",
    "MemoryCheck",
    "MemoryPlan",
    "MemoryPlanner",
    "MemoryRecord",
    "Program",
    "Report",
    "TransportVerdict",
    "assert_equivalent",
    "average_moving_statistics",
    "check_memory",
    "check_transport",
    "clip_after_all_reduce",
    "explain",
    "first_rows",
    "global_mean",
    "make_strategy",
    "pad_last_batch",
    "per_replica_randomness",
    "split_device",
    "start_memory_check",
    "track_memory",
    "verify",
]
