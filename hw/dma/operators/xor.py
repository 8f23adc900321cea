"""Inverts the bits of a stream where a pattern has ones."""

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ...bus.streams import switch_beat

__all__ = ["PATTERN_BITS", "Xor"]

PATTERN_BITS = 32


class Xor(wiring.Component):
    """Passes a stream with byte k of every BD combined, by exclusive or, with byte ``k mod 4`` of
    its word, the lowest first.

    On a BD whose bytes a guard excludes all, so that each is the pad byte 0 and memory is not read,
    this is a fill with a pattern of four bytes.

    A beat accepted in cycle t is offered in t+1, one a cycle; ``o`` is a register. A word of 0
    changes nothing. ``i.ready`` is combinational from ``o.ready``.

    Parameters
    ----------
    width
        Bits of a beat, a multiple of 32.

    Members
    -------
    operator : stream of 32 bits
        The pattern.
    i, o : stream of :func:`~weft.hw.bus.streams.switch_beat`
    """

    def __init__(self, *, width: int) -> None:
        if width < PATTERN_BITS or width % PATTERN_BITS:
            raise ValueError(f"a beat has a multiple of {PATTERN_BITS} bits, not {width}")
        self._width = width
        super().__init__(
            {
                "operator": In(stream.Signature(PATTERN_BITS)),
                "i": In(stream.Signature(switch_beat(width))),
                "o": Out(stream.Signature(switch_beat(width))),
            }
        )

    @property
    def width(self) -> int:
        return self._width

    def elaborate(self, platform: object) -> Module:
        m = Module()
        pattern = self.operator.payload.replicate(self._width // PATTERN_BITS)
        accepted = Signal()
        m.d.comb += [
            self.i.ready.eq(self.operator.valid & (~self.o.valid | self.o.ready)),
            accepted.eq(self.i.valid & self.i.ready),
            self.operator.ready.eq(accepted & self.i.payload.end),
        ]
        with m.If(~self.o.valid | self.o.ready):
            m.d.sync += self.o.valid.eq(accepted)
        with m.If(accepted):
            m.d.sync += [
                self.o.payload.eq(self.i.payload),
                self.o.payload.data.eq(self.i.payload.data ^ pattern),
            ]
        return m
