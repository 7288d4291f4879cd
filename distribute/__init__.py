"""Split devices, build a strategy on them, and describe what runs there. Imports nothing of the other folders."""

from distribute.device_plan import DeviceError
from distribute.devices import Devices, split_device
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
]
