"""Spreads a dense byte stream over bus beats: the realigner of the write direction."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..bus.queue import Queue
from ..bus.streams import switch_beat
from ..bus.wires import adopt
from .cutter import piece_layout
from .lanes import lanes_from, rotate_lanes, spread

__all__ = ["ByteUnpacker", "completion", "write_beat"]


def write_beat(data_bits: int) -> data.StructLayout:
    """An aligned beat and the bytes of it that are written."""
    return data.StructLayout({"data": data_bits, "strb": data_bits // 8})


def completion(address_bits: int) -> data.StructLayout:
    """All bytes of a BD are consumed; ``error``: some of them came from a failed source.

    ``address`` is then that of the run in which the first of them fell (see
    :func:`~weft.hw.dma.shaper.run_layout`).
    """
    return data.StructLayout({"error": 1, "address": address_bits})


class ByteUnpacker(wiring.Component):
    """Takes a dense byte stream and pieces of runs, and gives bus beats with exact strobes.

    Each piece takes its ``count`` next bytes of the stream: into the lanes of one beat if it
    exists, to nowhere if it is clipped. A beat of ``i`` whose last byte is taken in cycle t is
    offered as a write beat in t+2. One piece a cycle passes, unaligned and across runs too, as long
    as the stream's beats are full. The bytes behind a partial beat (a source's ``end``) follow
    densely; a piece that has bytes on both sides of such a seam takes one cycle more.

    Bytes of a beat with ``error`` are consumed and not written: their strobes are 0.

    ``i.ready`` depends on registers and on ``i_pieces``, never on ``i``; the ready path from ``o``
    is combinational. A BD's last piece waits while `completions` BDs stand on ``o_done``.

    Behind a switch, a BD whose source is not that of the bytes in ``holding`` waits until it is
    ``bound``; without one, whatever comes belongs to one stream.

    Parameters
    ----------
    data_bits
        Width of a beat.
    address_bits
        Width of a run's address.
    completions
        Depth of the queue behind ``o_done``.

    Members
    -------
    i_pieces : stream of :func:`~weft.hw.dma.cutter.piece_layout`
    i : stream of :func:`~weft.hw.bus.streams.switch_beat`
    o : stream of :func:`write_beat`
        One for each bus beat that the runs touch, in order.
    o_done : stream of :func:`completion`
        One for each BD, in order, in the cycle after its last byte was taken.
    bound : 1
        The present BD may take bytes; 1 if it is left open.
    finished : 1
        Pulse: the present BD takes its last byte in this cycle. Combinational from ``i.valid``.
    holding : 1
        A part of the last beat is kept for the next piece.
    """

    def __init__(self, *, data_bits: int, address_bits: int, completions: int) -> None:
        self._data_bits = data_bits
        self._address_bits = address_bits
        self._completions = completions
        super().__init__(
            {
                "i_pieces": In(stream.Signature(piece_layout(address_bits, data_bits // 8))),
                "i": In(stream.Signature(switch_beat(data_bits))),
                "o": Out(stream.Signature(write_beat(data_bits))),
                "o_done": Out(stream.Signature(completion(address_bits))),
                "bound": In(1, init=1),
                "finished": Out(1),
                "holding": Out(1),
            }
        )
        self._done = Queue(completion(address_bits), depth=completions)
        adopt(self, "o_done", self._done.o)

    @property
    def data_bits(self) -> int:
        return self._data_bits

    @property
    def address_bits(self) -> int:
        return self._address_bits

    @property
    def completions(self) -> int:
        return self._completions

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.done = done = self._done
        lanes = self._data_bits // 8
        lane_bits = (lanes - 1).bit_length()
        piece = self.i_pieces.payload
        beat = self.i.payload

        # The last beat taken, of which the bytes from lane `start` on wait, `held` of them. When
        # none does, `start` is one past the top lane. `joined`: the waiting bytes reach the top
        # lane, so that lane 0 of the next beat continues them in the rotated frame.
        kept = Signal(switch_beat(self._data_bits))
        start = Signal(range(lanes + 1), init=lanes)
        held = Signal(range(lanes + 1))
        joined = Signal(init=1)
        served = Signal(range(lanes))  # bytes of the present piece that are already taken

        placed = Signal(
            data.StructLayout(
                {
                    "data": self._data_bits,
                    "amount": lane_bits,
                    "from": range(lanes + 1),  # lanes that are written
                    "to": range(lanes + 1),
                    "last": 1,  # no more bytes come into this beat
                }
            )
        )
        placed_valid = Signal()
        placed_free = Signal()

        wanted = Signal(range(lanes + 1))
        enough = Signal()
        available = Signal(range(2 * lanes))
        room = Signal()
        pull = Signal()  # take the next beat of the stream
        step = Signal()  # take `count` bytes, `old` of them from `kept`
        count = Signal(range(lanes + 1))
        old = Signal(range(lanes + 1))
        through = Signal()
        m.d.comb += [
            wanted.eq(piece.count - served),
            enough.eq(held >= wanted),
            room.eq(placed_free & self.bound & (~piece.end | done.i.ready)),
            self.i.ready.eq(self.i_pieces.valid & room & joined & ~enough),
            pull.eq(self.i.ready & self.i.valid),
            step.eq(self.i_pieces.valid & room & (self.i.valid | enough | ~joined)),
            available.eq(held + Mux(pull, beat.count, 0)),
            through.eq(available >= wanted),
            count.eq(Mux(through, wanted, available)),
            old.eq(Mux(enough, wanted, held)),
            self.i_pieces.ready.eq(step & through),
        ]
        with m.If(step):
            m.d.sync += served.eq(Mux(through, 0, served + count))
            with m.If(pull):
                used = count - held
                m.d.sync += kept.eq(beat)
                m.d.sync += held.eq(available - count)
                with m.If(available == count):
                    m.d.sync += [start.eq(lanes), joined.eq(1)]
                with m.Else():
                    m.d.sync += [start.eq(used), joined.eq(beat.count == lanes)]
            with m.Else():
                m.d.sync += held.eq(held - count)
                with m.If(held == count):
                    m.d.sync += [start.eq(lanes), joined.eq(1)]
                with m.Else():
                    m.d.sync += start.eq(start + count)

        # What the source spoilt is left out of the lanes from ... to.
        lane = Signal(range(lanes + 1))
        spoilt_old = kept.error & (old != 0)
        spoilt_new = pull & beat.error
        m.d.comb += lane.eq(piece.lane + served)
        above = Signal(lanes)
        above_bits = Signal(self._data_bits)
        m.d.comb += [above.eq(lanes_from(start, lanes)), above_bits.eq(spread(above))]
        with m.If(placed_free):
            m.d.sync += placed_valid.eq(step & piece.exists)
            with m.If(step & piece.exists):
                m.d.sync += [
                    placed.data.eq((kept.data & above_bits) | (beat.data & ~above_bits)),
                    placed.amount.eq((lane - start)[:lane_bits]),
                    placed["from"].eq(lane + Mux(spoilt_old, old, 0)),
                    placed.to.eq(lane + Mux(spoilt_new, old, count)),
                    placed.last.eq(through),
                ]

        failed = Signal(completion(self._address_bits))
        spoilt = step & (spoilt_old | spoilt_new)
        m.d.comb += [
            self.finished.eq(step & through & piece.end),
            self.holding.eq(held != 0),
            done.i.valid.eq(self.finished),
            done.i.payload.error.eq(failed.error | spoilt),
            done.i.payload.address.eq(Mux(failed.error, failed.address, piece.address)),
        ]
        with m.If(done.i.valid):
            m.d.sync += failed.error.eq(0)
        with m.Elif(spoilt & ~failed.error):
            m.d.sync += [failed.error.eq(1), failed.address.eq(piece.address)]

        # Assemble: rotate to the lanes and gather the parts of a beat.
        gathered = self.o.payload
        fresh = Signal(init=1)  # the next part is the first of its beat
        rotated = rotate_lanes(m, placed.data, placed.amount)
        strobes = Signal(lanes)
        mask = Signal(self._data_bits)
        assembled_free = ~self.o.valid | self.o.ready
        m.d.comb += [
            placed_free.eq(~placed_valid | assembled_free),
            strobes.eq(lanes_from(placed["from"], lanes) & ~lanes_from(placed.to, lanes)),
            mask.eq(spread(strobes)),
        ]
        with m.If(assembled_free):
            m.d.sync += self.o.valid.eq(placed_valid & placed.last)
            with m.If(placed_valid):
                m.d.sync += [
                    gathered.data.eq((rotated & mask) | (gathered.data & ~mask)),
                    gathered.strb.eq(Mux(fresh, strobes, gathered.strb | strobes)),
                    fresh.eq(placed.last),
                ]
        return m
