"""Two streams into one."""

from amaranth.hdl import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Merge"]


class Merge(wiring.Component):
    """What comes on either input goes out, that of the first before that of the second.

    Combinational. The second waits for as long as the first has something; while a payload of the
    second is stalled at the output, the first may take its place, so whoever takes it must not
    count on a stalled payload to hold.

    Parameters
    ----------
    shape
        Shape of a payload.

    Members
    -------
    first, second, o : stream of `shape`
    """

    def __init__(self, shape: object) -> None:
        self._shape = shape
        port = stream.Signature(shape)
        super().__init__({"first": In(port), "second": In(port), "o": Out(port)})

    @property
    def shape(self) -> object:
        return self._shape

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.d.comb += [
            self.o.valid.eq(self.first.valid | self.second.valid),
            self.o.payload.eq(self.second.payload),
            self.first.ready.eq(self.o.ready),
            self.second.ready.eq(self.o.ready & ~self.first.valid),
        ]
        with m.If(self.first.valid):
            m.d.comb += self.o.payload.eq(self.first.payload)
        return m
