"""How fast a system's parts run on an FPGA: placed and routed."""

from .report import measure

__all__ = ["measure"]
