"""The systolic array as a stream operator."""

from .array import GemmArray
from .counters import COUNTERS
from .feeder import array_operator, operator_bits
from .parameters import Rounding, quantizer_parameters

__all__ = [
    "COUNTERS",
    "GemmArray",
    "Rounding",
    "array_operator",
    "operator_bits",
    "quantizer_parameters",
]
