"""What every mover shares: buffer descriptors, task queue, loops, retirement, registers."""

from .core import MoverCore
from .descriptor import Descriptor
from .monitor import StallCause
from .mover import Mover
from .port import PortSignature

__all__ = ["Descriptor", "Mover", "MoverCore", "PortSignature", "StallCause"]
