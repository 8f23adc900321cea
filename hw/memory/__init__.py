"""The banked scratchpad and its crossbar."""

from .ports import MemoryPort, memory_ports
from .requester import Requester
from .scratchpad import Scratchpad
from .share import PortShare

__all__ = ["MemoryPort", "PortShare", "Requester", "Scratchpad", "memory_ports"]
