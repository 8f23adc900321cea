"""A scratchpad mover's beats as the dense byte stream of the DMA."""

from amaranth.hdl import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ..bus.streams import compute_beat, switch_beat

__all__ = ["DenseBeats"]


class DenseBeats(wiring.Component):
    """Every byte of a scratchpad beat counts; its ``mark`` means nothing to a byte stream.

    Combinational in both directions.

    Parameters
    ----------
    width
        Bits of a beat.

    Members
    -------
    i : stream of :func:`~weft.hw.bus.streams.compute_beat`
    o : stream of :func:`~weft.hw.bus.streams.switch_beat`
    """

    def __init__(self, *, width: int) -> None:
        self._width = width
        super().__init__(
            {
                "i": In(stream.Signature(compute_beat(width))),
                "o": Out(stream.Signature(switch_beat(width))),
            }
        )

    @property
    def width(self) -> int:
        return self._width

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.d.comb += [
            self.o.payload.data.eq(self.i.payload.data),
            self.o.payload.count.eq(self._width // 8),
            self.o.payload.end.eq(self.i.payload.end),
            self.o.payload.error.eq(self.i.payload.error),
            self.o.valid.eq(self.i.valid),
            self.i.ready.eq(self.o.ready),
        ]
        return m
