"""Split devices, and prove that N replicas compute what one device computes."""

from .equivalence import verify
from .program import Program
from .report import Check, EquivalenceError, Report

__all__ = ["Check", "EquivalenceError", "Program", "Report", "verify"]
