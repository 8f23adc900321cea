"""The systolic array as a stream operator."""

from .array import C_PRESENT, GemmArray
from .counters import COUNTERS

__all__ = ["COUNTERS", "C_PRESENT", "GemmArray"]
