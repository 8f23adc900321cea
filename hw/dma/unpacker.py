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

    Each piece takes its ``count`` next bytes of the stream, from the cycle after it came: into the
    lanes of one beat if it exists, to nowhere if it is clipped. A beat of ``i`` whose last byte is
    taken in cycle t is offered as a write beat in t+2. One piece a cycle passes, unaligned and
    across runs too, as long as the stream's beats are full. The bytes behind a partial beat (a
    source's ``end``) follow densely; a piece that has bytes on both sides of such a seam takes one
    cycle more.

    Bytes of a beat with ``error`` are consumed and not written: their strobes are 0.

    ``i.ready`` depends on registers and ``o.ready``, never on ``i``; the ready path from ``o`` is
    combinational. A BD's last piece waits while `completions` BDs stand on ``o_done``.

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

        # The piece that takes bytes: `wanted` more of them, the next one in `lane`.
        present = Signal(data.StructLayout({"exists": 1, "end": 1, "address": self._address_bits}))
        present_valid = Signal()
        wanted = Signal(range(lanes + 1))
        lane = Signal(range(lanes + 1))
        # The last beat taken, of which the bytes from lane `start` on wait, `held` of them. When
        # none does, `start` is one past the top lane. `joined`: the waiting bytes reach the top
        # lane, so that lane 0 of the next beat continues them in the rotated frame.
        kept = Signal(switch_beat(self._data_bits))
        start = Signal(range(lanes + 1), init=lanes)
        held = Signal(range(lanes + 1))
        joined = Signal(init=1)

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

        # What it takes: `held` bytes or those that it wants of them, and if they are not enough,
        # some of the next beat. All sums are there before it is known which of them counts.
        short = Signal(range(lanes + 1))  # how many of the next beat, if it lacks some
        lacks = Signal()
        room = Signal()
        pull = Signal()  # take the next beat of the stream
        step = Signal()  # take bytes
        through = Signal()  # the piece has all its bytes then
        m.d.comb += [
            lacks.eq(held < wanted),
            short.eq(wanted - held),
            room.eq(placed_free & self.bound & (~present.end | done.i.ready)),
            self.i.ready.eq(present_valid & room & joined & lacks),
            pull.eq(self.i.ready & self.i.valid),
            step.eq(present_valid & room & (self.i.valid | ~lacks | ~joined)),
            through.eq(~lacks | (joined & (beat.count >= short))),
            self.i_pieces.ready.eq(~present_valid | (step & through)),
        ]
        kept_to, all_to = (Signal(range(lanes + 1), name=name) for name in ("kept_to", "all_to"))
        beat_to = Signal(range(2 * lanes + 1))
        m.d.comb += [
            kept_to.eq(lane + held),
            all_to.eq(lane + wanted),
            beat_to.eq(kept_to + beat.count),
        ]
        with m.If(self.i_pieces.ready):
            m.d.sync += present_valid.eq(self.i_pieces.valid)
            m.d.sync += [wanted.eq(piece.count), lane.eq(piece.lane)]
            m.d.sync += [present[name].eq(piece[name]) for name in present.shape().members]
        with m.Elif(step):
            m.d.sync += [
                wanted.eq(Mux(joined, short - beat.count, short)),
                lane.eq(Mux(joined, beat_to, kept_to)),
            ]
        with m.If(step):
            used_up = Signal()
            with m.If(~lacks):
                m.d.comb += used_up.eq(held == wanted)
                m.d.sync += [held.eq(held - wanted), start.eq(start + wanted)]
            with m.Else():
                m.d.comb += used_up.eq(~joined | (beat.count <= short))
                m.d.sync += [held.eq(beat.count - short), start.eq(short)]
            with m.If(pull):
                m.d.sync += [kept.eq(beat), joined.eq(beat.count == lanes)]
            with m.If(used_up):
                m.d.sync += [held.eq(0), start.eq(lanes), joined.eq(1)]

        # What the source spoilt is left out of the lanes from ... to.
        spoilt_old = kept.error & (~lacks | (held != 0))
        spoilt_new = pull & beat.error
        above = Signal(lanes)
        above_bits = Signal(self._data_bits)
        m.d.comb += [above.eq(lanes_from(start, lanes)), above_bits.eq(spread(above))]
        with m.If(placed_free):
            m.d.sync += placed_valid.eq(step & present.exists)
            with m.If(step & present.exists):
                old_to = Mux(lacks, kept_to, all_to)
                m.d.sync += [
                    placed.data.eq((kept.data & above_bits) | (beat.data & ~above_bits)),
                    placed.amount.eq((lane - start)[:lane_bits]),
                    placed["from"].eq(Mux(spoilt_old, old_to, lane)),
                    placed.to.eq(
                        Mux(
                            through & ~spoilt_new,
                            all_to,
                            Mux(pull & ~beat.error, beat_to, kept_to),
                        )
                    ),
                    placed.last.eq(through),
                ]

        failed = Signal(completion(self._address_bits))
        spoilt = step & (spoilt_old | spoilt_new)
        m.d.comb += [
            self.finished.eq(step & through & present.end),
            self.holding.eq(held != 0),
            done.i.valid.eq(self.finished),
            done.i.payload.error.eq(failed.error | spoilt),
            done.i.payload.address.eq(Mux(failed.error, failed.address, present.address)),
        ]
        with m.If(done.i.valid):
            m.d.sync += failed.error.eq(0)
        with m.Elif(spoilt & ~failed.error):
            m.d.sync += [failed.error.eq(1), failed.address.eq(present.address)]

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
