"""A register in a stream."""

from typing import Any

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, flipped

from .wires import adopt

__all__ = ["Cut", "cut_if"]


class Cut(wiring.Component):
    """Passes a stream a cycle later, at full bandwidth.

    A payload accepted in cycle t is offered in t+1, one a cycle; ``o`` is a register. ``i.ready``
    is combinational from ``o.ready``, or, with `both`, a register as well: then what is accepted
    while ``o`` stalls waits in a second place behind it.

    Parameters
    ----------
    shape
        Shape of a payload.
    both
        Whether it cuts both ways.

    Members
    -------
    i, o : stream of `shape`
    """

    def __init__(self, shape: object, *, both: bool = False) -> None:
        self._shape = shape
        self._both = both
        super().__init__({"i": In(stream.Signature(shape)), "o": Out(stream.Signature(shape))})

    @property
    def shape(self) -> object:
        return self._shape

    @property
    def both(self) -> bool:
        return self._both

    def elaborate(self, platform: object) -> Module:
        m = Module()
        moves = ~self.o.valid | self.o.ready
        valid, payload = self.i.valid, self.i.payload
        if self._both:
            waiting, waits = Signal(self._shape), Signal()
            m.d.comb += self.i.ready.eq(~waits)
            valid, payload = valid | waits, Mux(waits, waiting, payload)
            with m.If(~waits):
                m.d.sync += waiting.eq(self.i.payload)
            m.d.sync += waits.eq(valid & ~moves)
        else:
            m.d.comb += self.i.ready.eq(moves)
        with m.If(moves):
            m.d.sync += [self.o.valid.eq(valid), self.o.payload.eq(payload)]
        return m


def cut_if(wanted: bool, m: Module, name: str, given: Any, *, both: bool = False) -> Any:
    """The stream `given`; if it is `wanted`, behind a :class:`Cut` that is `name` in `m`."""
    if not wanted:
        return given
    m.submodules[name] = cut = Cut(given.payload.shape(), both=both)
    adopt(cut, "i", flipped(given))
    return cut.o
