"""From rows of results to beats of D."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from ..bus.queue import Queue
from ..bus.streams import compute_beat
from ..bus.wires import adopt
from ..config import ArrayConfig
from .feeder import tile_ticket

__all__ = ["Collector"]


class Collector(wiring.Component):
    """Gathers the mu rows of a tile, which come one a cycle, into one beat of D.

    A ticket reserves a slot when it is accepted, long before the rows come, and the slot is free
    again in the cycle after its beat is taken: rows never wait. There are enough slots for a tile
    every mu cycles when D is always ready, and one more. The beat is offered in the cycle after its
    last row, mu cycles after ``release``. Its data is an asynchronous read (LUTRAM).

    Parameters
    ----------
    array : :class:`~weft.hw.config.ArrayConfig`

    Attributes
    ----------
    slots : int
        Tiles between their ticket and their beat, at most.

    Members
    -------
    i_ticket : stream of :func:`~weft.hw.gemm.feeder.tile_ticket`
    i_d : nu lanes of accumulator_bits
        A row of results, the bottom one first.
    release : 1
        ``i_d`` is row mu-1 of the next tile; its other rows follow without a gap.
    d : stream of :func:`~weft.hw.bus.streams.compute_beat`
        [mu][nu] accumulators, n fastest; ``mark`` always.
    in_flight : 1
        A slot is reserved.
    """

    def __init__(self, *, array: ArrayConfig) -> None:
        self._array = array
        mu, nu = array.mu, array.nu
        # From the ticket to the cycle in which its slot is free: the mesh, the rows, the beat.
        cycles = 1 + (mu + nu) + mu + 1
        self._slots = 1 << (-(-cycles // mu)).bit_length()
        super().__init__(
            {
                "i_ticket": In(stream.Signature(tile_ticket())),
                "i_d": In(array.accumulator_bits).array(nu),
                "release": In(1),
                "d": Out(stream.Signature(compute_beat(array.d_bits))),
                "in_flight": Out(1),
            }
        )

    @property
    def array(self) -> ArrayConfig:
        return self._array

    @property
    def slots(self) -> int:
        return self._slots

    def elaborate(self, platform: object) -> Module:
        m = Module()
        array = self._array
        m.submodules.tickets = tickets = Queue(tile_ticket(), depth=self._slots)
        adopt(tickets, "i", self.i_ticket)

        m.submodules.beats = beats = Memory(shape=array.d_bits, depth=self._slots, init=[])
        write_port = beats.write_port(granularity=array.nu * array.accumulator_bits)
        read_port = beats.read_port(domain="comb")
        # Bit i: the row here now is row i.
        rows = Signal(array.mu)
        later_rows = Signal(max(array.mu - 1, 1))
        m.d.comb += [
            rows.eq(Cat(later_rows[: array.mu - 1], self.release)),
            write_port.en.eq(rows),
            write_port.data.eq(Cat(self.i_d).replicate(array.mu)),
        ]
        m.d.sync += later_rows.eq(rows[1:])
        with m.If(rows[0]):
            m.d.sync += write_port.addr.eq(write_port.addr + 1)

        complete = Signal(range(self._slots + 1))
        given = Signal()
        m.d.comb += [
            self.d.valid.eq(complete != 0),
            self.d.payload.data.eq(read_port.data),
            self.d.payload.mark.eq(1),
            self.d.payload.end.eq(tickets.o.payload.end),
            self.d.payload.error.eq(tickets.o.payload.error),
            given.eq(self.d.valid & self.d.ready),
            tickets.o.ready.eq(given),
            self.in_flight.eq(tickets.o.valid),
        ]
        with m.If(given):
            m.d.sync += read_port.addr.eq(read_port.addr + 1)
        with m.If(rows[0] & ~given):
            m.d.sync += complete.eq(complete + 1)
        with m.Elif(given & ~rows[0]):
            m.d.sync += complete.eq(complete - 1)
        return m
