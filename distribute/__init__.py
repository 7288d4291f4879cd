"""Split devices, and prove that N replicas compute what one device computes, within their memory limits.

Imports nothing of the other folders: it can be taken alone into another project.
"""

from distribute.device_plan import DeviceError
from distribute.devices import Devices, split_device
from distribute.equivalence import verify
from distribute.equivalence_check.inputs import first_rows
from distribute.log_explanation import Explained, explain
from distribute.memory import MemoryCheck, check_memory, start_memory_check
from distribute.memory_plan import MemoryPlan, MemoryPlanner
from distribute.memory_tracking import MemoryRecord, track_memory
from distribute.program import Program
from distribute.remedies.clipping import clip_after_all_reduce
from distribute.remedies.global_mean import global_mean
from distribute.remedies.loss_scale import AllReplicasLossScaleOptimizer
from distribute.remedies.mean_loss import GlobalMean
from distribute.remedies.moving_statistics import average_moving_statistics
from distribute.remedies.padding import pad_last_batch
from distribute.remedies.randomness import per_replica_randomness
from distribute.report import Check, EquivalenceError, Report
from distribute.strategy import make_strategy
from distribute.transport import TransportVerdict, check_transport

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
