"""The banked scratchpad and its crossbar."""

from .requester import Requester
from .scratchpad import Scratchpad
from .share import PortShare

__all__ = ["PortShare", "Requester", "Scratchpad"]
