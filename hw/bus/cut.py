"""A register in a stream."""

from amaranth.hdl import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Cut"]


class Cut(wiring.Component):
    """Passes a stream a cycle later, at full bandwidth.

    A payload accepted in cycle t is offered in t+1, one a cycle; ``o`` is a register. ``i.ready``
    is combinational from ``o.ready``.

    Parameters
    ----------
    shape
        Shape of a payload.

    Members
    -------
    i, o : stream of `shape`
    """

    def __init__(self, shape: object) -> None:
        self._shape = shape
        super().__init__({"i": In(stream.Signature(shape)), "o": Out(stream.Signature(shape))})

    @property
    def shape(self) -> object:
        return self._shape

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.d.comb += self.i.ready.eq(~self.o.valid | self.o.ready)
        with m.If(self.i.ready):
            m.d.sync += self.o.valid.eq(self.i.valid)
            with m.If(self.i.valid):
                m.d.sync += self.o.payload.eq(self.i.payload)
        return m
