"""Layouts of what travels between movers and stream operators.

All of them are payloads of :class:`amaranth.lib.stream.Signature`: a beat moves when valid and
ready meet, and payload and valid hold while it is stalled.
"""

from amaranth.hdl import Shape
from amaranth.lib import data

from ..config import ROUTE_BITS

__all__ = ["compute_beat", "present_fields", "switch_beat", "switch_route"]


def compute_beat(width: int) -> data.StructLayout:
    """A beat between a scratchpad mover and an operator.

    ``data`` is `width` bits, channel 0 lowest. ``mark`` ends the loop levels that the BD chose,
    ``end`` ends the BD, ``error`` says that a fault spoilt the data.
    """
    return data.StructLayout({"data": width, "mark": 1, "end": 1, "error": 1})


def switch_beat(width: int) -> data.StructLayout:
    """A beat of the DMA's dense byte stream.

    ``count`` bytes of ``data`` count, lowest first: all of them unless ``end``, which is the last
    beat of the source's BD. ``error`` says that a fault spoilt the data.
    """
    return data.StructLayout({"data": width, "count": range(width // 8 + 1), "end": 1, "error": 1})


def switch_route() -> data.StructLayout:
    """Where a source's BD has its stream go that may also be compared: with whom it `meets`.

    ``ends`` is a mask of the switch's sinks or, if it ``meets`` another stream, the index of the
    source that this comes from.
    """
    return data.StructLayout({"ends": ROUTE_BITS, "meets": 1})


def present_fields(fields: dict[str, object]) -> data.StructLayout:
    """The layout of those of `fields` that have a bit: Verilog has no vector of none."""
    return data.StructLayout(
        {name: shape for name, shape in fields.items() if Shape.cast(shape).width}
    )
