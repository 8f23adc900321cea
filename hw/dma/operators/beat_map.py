"""What the operators have in common that change a stream beat by beat."""

from abc import abstractmethod

from amaranth.hdl import Module, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ...bus.streams import switch_beat

__all__ = ["BeatMap"]

WORD_BITS = 32


class BeatMap(wiring.Component):
    """Passes a stream with the data of each beat changed in a way that its BD's word says.

    A beat accepted in cycle t is offered in t+1, one a cycle; ``o`` is a register. ``count``,
    ``end`` and ``error`` stay with their beat. ``i.ready`` is combinational from ``o.ready``.

    Parameters
    ----------
    width
        Bits of a beat, a multiple of `unit`.
    unit
        Bits that are changed as one.

    Members
    -------
    operator : stream of 32 bits
    i, o : stream of :func:`~weft.hw.bus.streams.switch_beat`
    """

    def __init__(self, *, width: int, unit: int) -> None:
        if width < unit or width % unit:
            raise ValueError(f"a beat has a multiple of {unit} bits, not {width}")
        self._width = width
        super().__init__(
            {
                "operator": In(stream.Signature(WORD_BITS)),
                "i": In(stream.Signature(switch_beat(width))),
                "o": Out(stream.Signature(switch_beat(width))),
            }
        )

    @property
    def width(self) -> int:
        return self._width

    @abstractmethod
    def changed(self, m: Module, word: Value, content: Value) -> Value:
        """The `content` of a beat as a BD with `word` has them changed."""

    def elaborate(self, platform: object) -> Module:
        m = Module()
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
                self.o.payload.data.eq(self.changed(m, self.operator.payload, self.i.payload.data)),
            ]
        return m
