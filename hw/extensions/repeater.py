"""Replays beats that would be fetched again and again."""

from typing import Self

from amaranth.hdl import Const, Module, Mux, Signal, Value
from amaranth.lib import data
from amaranth.lib.memory import Memory

from ..agu.row import BOUND_BITS
from ..bus.streams import present_fields
from ..config import MoverConfig
from .extension import Extension

__all__ = ["Repeater", "repeater_parameter"]


def repeater_parameter(depth: int) -> data.StructLayout:
    """A run of beats goes on ``count`` times (0 as 1).

    ``each`` pass of it has its marks, not the last only. A run is one beat and ``more``, which a
    repeater of a `depth` of 1 does not have; the last run of a BD ends with it.
    """
    return present_fields({"count": BOUND_BITS, "each": 1, "more": (depth - 1).bit_length()})


class Repeater(Extension):
    """Gives each run of beats ``count`` times, a beat a cycle: a loop of stride 0 fetched once.

    The first pass goes through, and what is to come again is kept (LUTRAM). The run's last beat
    waits at the input until the last pass is over: so the BD's setting stands, what there is of the
    next run may gather behind it, and it follows without a bubble.

    A BD that has a loop of stride 0 outside loops of no more than `depth` rows together gives the
    same beats with a bound of 1 there, its bound as ``count`` and those rows as a run. The end is
    on the last beat of the last pass. Marks are on the beats of every pass (``each``) if the loops
    that end with one all lie inside that loop, else on those of the last.

    Parameters
    ----------
    width
        Bits of a beat.
    depth
        Beats of the longest run; a power of two.

    Source: DataMaestro's repository, HandShakeRepeater, which replays single beats.
    """

    def __init__(self, *, width: int, depth: int = 1) -> None:
        self._depth = depth
        self.parameter_bits = repeater_parameter(depth).size
        super().__init__(width=width)

    @classmethod
    def of_mover(cls, mover: MoverConfig, word_bits: int) -> Self:
        return cls(width=mover.channels * word_bits, depth=mover.replay_depth)

    @property
    def depth(self) -> int:
        return self._depth

    def elaborate(self, platform: object) -> Module:
        m = Module()
        given, parameter = self.i.payload, repeater_parameter(self._depth)(self.parameter)
        # Passes that are over; none is; the one that comes then is the last of several.
        over, first, final = Signal(BOUND_BITS), Signal(init=1), Signal()
        last, moves = Signal(), Signal()
        tail, beat = self._run(m, first, moves)
        m.d.comb += [
            last.eq(Mux(first, ~parameter.count[1:].any(), final)),
            moves.eq(self.i.valid & self.o.ready),
            self.o.valid.eq(self.i.valid),
            self.i.ready.eq(self.o.ready & Mux(tail, last, first)),
            self.o.payload.data.eq(beat.data),
            self.o.payload.mark.eq(beat.mark & (last | parameter.each)),
            self.o.payload.end.eq(given.end & tail & last),
            self.o.payload.error.eq(beat.error),
        ]
        with m.If(moves & tail):
            m.d.sync += [
                over.eq(Mux(last, 0, over + 1)),
                first.eq(last),
                final.eq(over + 2 >= parameter.count),
            ]
        return m

    def _run(self, m: Module, first: Signal, moves: Signal) -> tuple[Value, data.View]:
        """Whether the beat that goes on is the last of its run, and where it comes from."""
        given = self.i.payload
        if self._depth == 1:
            return Const(1), given
        shape = data.StructLayout({"data": self._width, "mark": 1, "error": 1})
        m.submodules.kept = kept = Memory(shape=shape, depth=self._depth, init=[])
        write, read = kept.write_port(), kept.read_port(domain="comb")
        place, longest = Signal(range(self._depth)), Signal(range(self._depth))
        tail, beat = Signal(), Signal(shape)
        parameter = repeater_parameter(self._depth)(self.parameter)
        m.d.comb += [
            tail.eq(Mux(first, given.end | (place == parameter.more), place == longest)),
            *(write.data[name].eq(given[name]) for name, _ in shape),
            write.addr.eq(place),
            write.en.eq(moves & first),
            read.addr.eq(place),
        ]
        with m.If(first):
            m.d.comb += [beat[name].eq(given[name]) for name, _ in shape]
        with m.Else():
            m.d.comb += beat.eq(read.data)
        with m.If(moves):
            m.d.sync += place.eq(Mux(tail, 0, place + 1))
            with m.If(first):
                m.d.sync += longest.eq(place)
        return tail, beat
