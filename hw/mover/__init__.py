"""What every mover shares: buffer descriptors, task queue, locks, loops, retirement, registers."""

from .core import MoverCore
from .descriptor import Descriptor
from .lock_host import LockHost
from .locks import LockBank, LockClientSignature
from .monitor import StallCause
from .mover import Mover
from .port import PortSignature

__all__ = [
    "Descriptor",
    "LockBank",
    "LockClientSignature",
    "LockHost",
    "Mover",
    "MoverCore",
    "PortSignature",
    "StallCause",
]
