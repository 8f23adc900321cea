"""From rows of results to beats."""

from amaranth.hdl import Cat, Module, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from ..bus.queue import Queue
from ..bus.streams import compute_beat
from ..bus.wires import adopt

__all__ = ["Collector", "row_here", "slots_for", "tile_ticket"]


def tile_ticket() -> data.StructLayout:
    """What a tile's beat says beside data: ``end`` of the BD; ``error`` of a beat that made it."""
    return data.StructLayout({"end": 1, "error": 1})


def slots_for(cycles: int, *, rows: int) -> int:
    """Slots, a power of two, for a tile every `rows` cycles that keeps its own for `cycles`."""
    return 1 << (-(-cycles // rows)).bit_length()


def row_here(m: Module, release: Value, count: int) -> Signal:
    """Which of a tile's rows is here, a bit each: the last with `release`, then downwards."""
    rows = Signal(count)
    later_rows = Signal(max(count - 1, 1))
    m.d.comb += rows.eq(Cat(later_rows[: count - 1], release))
    m.d.sync += later_rows.eq(rows[1:])
    return rows


class Collector(wiring.Component):
    """Gathers the rows of a tile, which come one a cycle, into one beat.

    A ticket reserves a slot when it is accepted, long before the rows come, and the slot is free
    again in the cycle after its beat is taken: rows never wait. There are enough slots for a tile
    every `rows` cycles when ``o`` is always ready, and one more. The beat is offered in the cycle
    after its last row, `rows` cycles after ``release``. Its data is an asynchronous read (LUTRAM).

    Parameters
    ----------
    rows
        Of a tile.
    lanes, lane_bits
        Results in a row, and their width.
    delay
        Cycles from a tile's ticket to its ``release``.

    Attributes
    ----------
    slots : int
        Tiles between their ticket and their beat, at most.

    Members
    -------
    i_ticket : stream of :func:`tile_ticket`
    i_row : `lanes` of `lane_bits`
        A row of results, the last one of its tile first.
    release : 1
        ``i_row`` is the last row of the next tile; its other rows follow without a gap.
    last : 1
        ``i_row`` is row 0, and completes its tile.
    o : stream of :func:`~weft.hw.bus.streams.compute_beat`
        Row 0 lowest; ``mark`` always.
    in_flight : 1
        A slot is reserved.
    """

    def __init__(self, *, rows: int, lanes: int, lane_bits: int, delay: int) -> None:
        self._rows = rows
        self._lanes = lanes
        self._lane_bits = lane_bits
        self._delay = delay
        # From the ticket to the cycle in which its slot is free: the delay, the rows, the beat.
        self._slots = slots_for(delay + rows + 1, rows=rows)
        super().__init__(
            {
                "i_ticket": In(stream.Signature(tile_ticket())),
                "i_row": In(lane_bits).array(lanes),
                "release": In(1),
                "last": Out(1),
                "o": Out(stream.Signature(compute_beat(rows * lanes * lane_bits))),
                "in_flight": Out(1),
            }
        )

    @property
    def rows(self) -> int:
        return self._rows

    @property
    def lanes(self) -> int:
        return self._lanes

    @property
    def lane_bits(self) -> int:
        return self._lane_bits

    @property
    def delay(self) -> int:
        return self._delay

    @property
    def slots(self) -> int:
        return self._slots

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.tickets = tickets = Queue(tile_ticket(), depth=self._slots)
        adopt(tickets, "i", self.i_ticket)

        row_bits = self._lanes * self._lane_bits
        m.submodules.beats = beats = Memory(shape=self._rows * row_bits, depth=self._slots, init=[])
        write_port = beats.write_port(granularity=row_bits)
        read_port = beats.read_port(domain="comb")
        rows = row_here(m, self.release, self._rows)
        m.d.comb += [
            write_port.en.eq(rows),
            write_port.data.eq(Cat(self.i_row).replicate(self._rows)),
            self.last.eq(rows[0]),
        ]
        with m.If(rows[0]):
            m.d.sync += write_port.addr.eq(write_port.addr + 1)

        complete = Signal(range(self._slots + 1))
        given = Signal()
        m.d.comb += [
            self.o.valid.eq(complete != 0),
            self.o.payload.data.eq(read_port.data),
            self.o.payload.mark.eq(1),
            self.o.payload.end.eq(tickets.o.payload.end),
            self.o.payload.error.eq(tickets.o.payload.error),
            given.eq(self.o.valid & self.o.ready),
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
