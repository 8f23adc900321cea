"""A source of a repeated pattern."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ...bus.streams import switch_beat

__all__ = ["Fill"]

PATTERN_BITS = 32
LENGTH_BITS = 32


class Fill(wiring.Component):
    """Gives, for each length, a BD of that many bytes without reading any memory.

    The BD's word is the pattern: byte k of the BD is byte ``k mod 4`` of it, the lowest first.

    A length accepted in cycle t offers its first beat in t+1, then one beat a cycle; the next
    length is accepted in the cycle in which the last beat is taken, so there is no bubble between
    BDs. A length of 0 is a BD without data: it gives no beat and takes no word.

    ``i.ready`` is combinational from ``o.ready``.

    Parameters
    ----------
    width
        Bits of a beat, a multiple of 32.

    Members
    -------
    operator : stream of 32 bits
        The pattern.
    i : stream of 32 bits
        Bytes of a BD.
    o : stream of :func:`~weft.hw.bus.streams.switch_beat`
    """

    def __init__(self, *, width: int) -> None:
        if width < PATTERN_BITS or width % PATTERN_BITS:
            raise ValueError(f"a beat has a multiple of {PATTERN_BITS} bits, not {width}")
        self._width = width
        super().__init__(
            {
                "operator": In(stream.Signature(PATTERN_BITS)),
                "i": In(stream.Signature(LENGTH_BITS)),
                "o": Out(stream.Signature(switch_beat(width))),
            }
        )

    @property
    def width(self) -> int:
        return self._width

    def elaborate(self, platform: object) -> Module:
        m = Module()
        lanes = self._width // 8
        left = Signal(LENGTH_BITS)  # of the present BD, this beat included
        beat = self.o.payload
        taken = Signal()
        m.d.comb += [
            self.o.valid.eq((left != 0) & self.operator.valid),
            beat.data.eq(self.operator.payload.replicate(self._width // PATTERN_BITS)),
            beat.end.eq(left <= lanes),
            beat.count.eq(Mux(beat.end, left, lanes)),
            taken.eq(self.o.valid & self.o.ready),
            self.operator.ready.eq(taken & beat.end),
            self.i.ready.eq((left == 0) | self.operator.ready),
        ]
        with m.If(self.i.ready):
            m.d.sync += left.eq(Mux(self.i.valid, self.i.payload, 0))
        with m.Elif(taken):
            m.d.sync += left.eq(left - lanes)
        return m
