"""Where a tile's results go."""

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ..bus.queue import Queue
from ..config import ArrayConfig
from .collector import slots_for, tile_ticket
from .feeder import Lacking, wanted_results

__all__ = ["Outlet"]


class Outlet(wiring.Component):
    """Gives a tile's ticket, and later the pulse that its rows are there, to D, to E or to both.

    A ticket is accepted when everybody who is to have it has room, so that a tile that goes to both
    is in both or in none; neither waits for the other after that. Combinational, but for what is
    remembered of the tiles on their way.

    Parameters
    ----------
    array : :class:`~weft.hw.config.ArrayConfig`
    delay
        Cycles from a tile's ticket to its ``release``.

    Members
    -------
    i_ticket : stream of :func:`~weft.hw.gemm.collector.tile_ticket`
    wanted : :func:`~weft.hw.gemm.feeder.wanted_results`
        Where its tile is to go.
    lacking : :class:`~weft.hw.gemm.feeder.Lacking`
        What it waits for while it does: D's room before E's parameters, these before E's room.
    o_d, o_e : stream of :func:`~weft.hw.gemm.collector.tile_ticket`
    starved : 1
        E has no parameters.
    release : 1
        The rows of the next tile begin.
    release_d, release_e : 1
        The same, and they are for D, for E.
    """

    def __init__(self, *, array: ArrayConfig, delay: int) -> None:
        self._array = array
        self._delay = delay
        super().__init__(
            {
                "i_ticket": In(stream.Signature(tile_ticket())),
                "wanted": In(wanted_results()),
                "lacking": Out(Lacking),
                "o_d": Out(stream.Signature(tile_ticket())),
                "o_e": Out(stream.Signature(tile_ticket())),
                "starved": In(1),
                "release": In(1),
                "release_d": Out(1),
                "release_e": Out(1),
            }
        )

    @property
    def array(self) -> ArrayConfig:
        return self._array

    @property
    def delay(self) -> int:
        return self._delay

    def elaborate(self, platform: object) -> Module:
        m = Module()
        # Tickets come no faster than tiles, so that there is always room.
        depth = slots_for(self._delay, rows=self._array.mu)
        m.submodules.under_way = under_way = Queue(wanted_results(), depth=depth)
        room_d = Signal()
        room_e = Signal()
        accepted = Signal()
        m.d.comb += [
            room_d.eq(~self.wanted.d | self.o_d.ready),
            room_e.eq(~self.wanted.e | self.o_e.ready),
            self.i_ticket.ready.eq(room_d & room_e),
            accepted.eq(self.i_ticket.valid & self.i_ticket.ready),
            self.o_d.valid.eq(self.i_ticket.valid & self.wanted.d & room_e),
            self.o_d.payload.eq(self.i_ticket.payload),
            self.o_e.valid.eq(self.i_ticket.valid & self.wanted.e & room_d),
            self.o_e.payload.eq(self.i_ticket.payload),
            under_way.i.valid.eq(accepted),
            under_way.i.payload.eq(self.wanted),
            under_way.o.ready.eq(self.release),
            self.release_d.eq(self.release & under_way.o.payload.d),
            self.release_e.eq(self.release & under_way.o.payload.e),
        ]
        with m.If(~room_d):
            m.d.comb += self.lacking.eq(Lacking.D)
        with m.Elif(self.starved):
            m.d.comb += self.lacking.eq(Lacking.S)
        with m.Else():
            m.d.comb += self.lacking.eq(Lacking.E)
        return m
