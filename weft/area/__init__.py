"""What a system costs: Yosys estimates, part by part."""

from .report import measure
from .sweep import sweep
from .targets import TARGETS
from .variants import crossbar_variants

__all__ = ["TARGETS", "crossbar_variants", "measure", "sweep"]
