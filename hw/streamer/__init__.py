"""Memory ports of the scratchpad movers."""

from .reader import ReadPort
from .writer import WritePort

__all__ = ["ReadPort", "WritePort"]
