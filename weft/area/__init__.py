"""What a system costs: Yosys estimates, part by part."""

from .report import measure
from .targets import TARGETS

__all__ = ["TARGETS", "measure"]
