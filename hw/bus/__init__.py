"""What carries streams, memory accesses and registers between the rooms."""

from .access import PageDecoder
from .axil import AxiLiteBridge
from .control import SystemControl
from .page import RegisterPage
from .queue import Queue

__all__ = ["AxiLiteBridge", "PageDecoder", "Queue", "RegisterPage", "SystemControl"]
