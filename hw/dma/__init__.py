"""The DMA's DRAM end: memory ports that move runs of bytes over AXI4."""

from .read import Mm2sPort
from .write import S2mmPort

__all__ = ["Mm2sPort", "S2mmPort"]
