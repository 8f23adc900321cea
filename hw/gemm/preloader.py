"""Feeding C into the array, a row a cycle."""

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ..bus.streams import compute_beat
from ..config import ArrayConfig

__all__ = ["Preloader"]


class Preloader(wiring.Component):
    """Pushes the rows of a C beat into the mesh, the bottom row first.

    Row mu-1-r of a beat goes in its r-th cycle, stands in ``o_c`` in the cycle after, and the beat
    is taken with row 0: the source holds the payload meanwhile. From that very cycle ``o`` offers
    the tile, until the first step of a tile takes it; the next beat may start in the cycle after.
    So C costs nothing when the first steps of tiles are mu cycles apart.

    ``c.ready`` comes from registers; ``o.valid`` depends on ``c.valid`` in the same cycle.

    Parameters
    ----------
    array : :class:`~weft.hw.config.ArrayConfig`

    Members
    -------
    c : stream of :func:`~weft.hw.bus.streams.compute_beat`
        [mu][nu] accumulators, n fastest. ``mark`` and ``end`` mean nothing here.
    o : stream of 1
        A tile's C is in place for a step taken now; the payload is its ``error``.
    o_c : nu lanes of accumulator_bits
        The row pushed.
    hold : 1
        With row 0.
    """

    def __init__(self, *, array: ArrayConfig) -> None:
        self._array = array
        super().__init__(
            {
                "c": In(stream.Signature(compute_beat(array.d_bits))),
                "o": Out(stream.Signature(1)),
                "o_c": Out(array.accumulator_bits).array(array.nu),
                "hold": Out(1),
            }
        )

    @property
    def array(self) -> ArrayConfig:
        return self._array

    def elaborate(self, platform: object) -> Module:
        m = Module()
        mu, nu, bits = self._array.mu, self._array.nu, self._array.accumulator_bits
        row = Signal(range(mu), init=mu - 1)
        loaded = Signal()
        error = Signal()
        arriving = Signal()

        m.d.comb += [
            self.c.ready.eq(~loaded & (row == 0)),
            arriving.eq(self.c.valid & self.c.ready),
            self.o.valid.eq(loaded | arriving),
            self.o.payload.eq(error),
        ]
        with m.If(arriving):
            m.d.comb += self.o.payload.eq(self.c.payload.error)
            m.d.sync += error.eq(self.c.payload.error)
        with m.If(self.o.valid):
            m.d.sync += loaded.eq(~self.o.ready)

        m.d.sync += self.hold.eq(arriving)
        with m.If(self.c.valid & ~loaded):
            with m.If(row == 0):
                m.d.sync += row.eq(mu - 1)
            with m.Else():
                m.d.sync += row.eq(row - 1)
            with m.Switch(row):
                for index in range(mu):
                    with m.Case(index):
                        for j in range(nu):
                            lane = self.c.payload.data.word_select(index * nu + j, bits)
                            m.d.sync += self.o_c[j].eq(lane)
        return m
