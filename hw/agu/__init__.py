"""Address generation: loops to rows, rows to the words of every channel."""

from .remap import BankMap
from .row import channel_row, temporal_row, temporal_task
from .spatial import SpatialAgu
from .temporal import TemporalAgu
from .window import ChannelWindows

__all__ = [
    "BankMap",
    "ChannelWindows",
    "SpatialAgu",
    "TemporalAgu",
    "channel_row",
    "temporal_row",
    "temporal_task",
]
