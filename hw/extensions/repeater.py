"""Replays beats that would be fetched again and again."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data

from ..agu.row import BOUND_BITS
from ..registry import EXTENSIONS
from .extension import Extension

__all__ = ["Repeater", "repeater_parameter"]


def repeater_parameter() -> data.StructLayout:
    """A beat goes on ``count`` times (0 as 1); ``each`` of them has its mark, not the last only."""
    return data.StructLayout({"count": BOUND_BITS, "each": 1})


class Repeater(Extension):
    """Gives each beat ``count`` times, one a cycle: a loop of stride 0 that is fetched once.

    A BD whose innermost loop of more than one iteration has a stride of 0 gives the same beats with
    a bound of 1 there and its bound as ``count``. The end is on the last replay. So is the mark if
    that loop is one of those that end with it; where the marked loops all lie inside it, every row
    is marked and so is ``each`` replay.

    Source: DataMaestro's repository, HandShakeRepeater.
    """

    parameter_bits = EXTENSIONS["repeater"].parameter_bits

    def elaborate(self, platform: object) -> Module:
        m = Module()
        given, parameter = self.i.payload, repeater_parameter()(self.parameter)
        replayed = Signal(BOUND_BITS)
        last = Signal()
        m.d.comb += [
            last.eq(replayed + 1 >= parameter.count),
            self.o.valid.eq(self.i.valid),
            self.i.ready.eq(self.o.ready & last),
            self.o.payload.data.eq(given.data),
            self.o.payload.mark.eq(given.mark & (last | parameter.each)),
            self.o.payload.end.eq(given.end & last),
            self.o.payload.error.eq(given.error),
        ]
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += replayed.eq(Mux(last, 0, replayed + 1))
        return m
