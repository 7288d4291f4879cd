"""Split devices, and prove that N replicas compute what one device computes, within their memory limits.

Imports nothing of the other folders: it can be taken alone into another project.
"""

from distribute.device_plan import DeviceError
from distribute.devices import Devices, split_device
from distribute.equivalence import verify
from distribute.memory import MemoryCheck, check_memory, start_memory_check
from distribute.program import Program
from distribute.report import Check, EquivalenceError, Report
from distribute.strategy import make_strategy

__all__ = [
    "Check",
    "DeviceError",
    "Devices",
    "EquivalenceError",
    "MemoryCheck",
    "Program",
    "Report",
    "check_memory",
    "make_strategy",
    "split_device",
    "start_memory_check",
    "verify",
]
