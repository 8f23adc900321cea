"""Packs the bytes of successive runs densely: the realigner of the read direction."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..bus.axi import Response
from ..bus.fault import FAULT_ADDRESS_BITS, FaultCode, fault_report
from ..bus.queue import Queue
from ..bus.streams import switch_beat
from .cutter import piece_layout
from .lanes import lanes_from, rotate_lanes, spread

__all__ = ["BytePacker", "read_beat"]

BLAMES = 4
"""First bad responses of BDs that have not reported: one is taken, two are packed, one reports."""


def read_beat(data_bits: int) -> data.StructLayout:
    """A beat that the bus answered: ``address`` is the start of its burst.

    ``denied``: no window allows the burst, and the bus was not asked; ``resp`` is then an error.
    """
    return data.StructLayout(
        {"data": data_bits, "resp": Response, "denied": 1, "address": FAULT_ADDRESS_BITS}
    )


class BytePacker(wiring.Component):
    """Takes pieces of runs and the bus beats that they lie in, and gives a dense byte stream.

    A piece that exists takes one beat; a clipped one none, its bytes are the pad byte. A piece
    taken in cycle t (its beat with it) is in ``o`` from cycle t+2 if it completes a beat or the BD;
    a piece that completes one beat and ends the BD in the next has the remainder in t+3. One piece
    a cycle goes in and one beat a cycle comes out, across runs and BDs alike. Two stages: rotate
    the bytes to their place in the output beat; merge them with those that wait there. A BD's last
    beat has ``end`` and may be partial; no other is.

    The bytes of a beat whose response is bad become the pad byte, and every output beat that holds
    one of them has ``error``. Each BD reports its first such response on ``fault``, in the cycle in
    which its first beat with ``error`` is first offered; so whoever takes the beat knows no sooner.
    ``retired`` is up in the cycle in which a BD's last beat is taken, when all its responses are
    in: combinational from ``o.ready``. A report always belongs to the oldest BD that has not
    retired, and comes at the latest with its ``retired``.

    Ready paths are combinational from ``o`` to both inputs.

    Parameters
    ----------
    data_bits
        Width of a beat.
    address_bits
        Width of a piece's address, which is not looked at.

    Members
    -------
    i_pieces : stream of :func:`~weft.hw.dma.cutter.piece_layout`
    i_beats : stream of :func:`read_beat`
    o : stream of :func:`~weft.hw.bus.streams.switch_beat`
    retired : 1
    fault : :func:`~weft.hw.bus.fault.fault_report`
    """

    def __init__(self, *, data_bits: int, address_bits: int) -> None:
        self._data_bits = data_bits
        self._address_bits = address_bits
        super().__init__(
            {
                "i_pieces": In(stream.Signature(piece_layout(address_bits, data_bits // 8))),
                "i_beats": In(stream.Signature(read_beat(data_bits))),
                "o": Out(stream.Signature(switch_beat(data_bits))),
                "retired": Out(1),
                "fault": Out(fault_report()),
            }
        )

    @property
    def data_bits(self) -> int:
        return self._data_bits

    @property
    def address_bits(self) -> int:
        return self._address_bits

    def elaborate(self, platform: object) -> Module:
        m = Module()
        lanes = self._data_bits // 8
        lane_bits = (lanes - 1).bit_length()
        blame = data.StructLayout({"code": FaultCode, "address": FAULT_ADDRESS_BITS})
        piece = self.i_pieces.payload
        beat = self.i_beats.payload

        # Rotate: the next byte of the stream goes to lane `offset`.
        placed = Signal(
            data.StructLayout(
                {
                    "data": self._data_bits,
                    "kept": lanes,  # lanes from `offset` up
                    "total": range(2 * lanes),  # `offset` + bytes of the piece
                    "end": 1,
                    "bad": 1,
                }
            )
        )
        placed_valid = Signal()
        placed_free = Signal()
        offset = Signal(lane_bits)
        supplied = self.i_pieces.valid & (~piece.exists | self.i_beats.valid)
        bad = piece.exists & beat.resp[1]
        # The first bad response of each BD, until the BD reports.
        m.submodules.blames = blames = Queue(blame, depth=BLAMES)
        blamed = Signal()  # the BD whose piece comes next has one already
        rotated = rotate_lanes(m, beat.data, (offset - piece.lane)[:lane_bits])
        total = offset + piece.count
        m.d.comb += [
            self.i_pieces.ready.eq(placed_free & (~piece.exists | self.i_beats.valid)),
            self.i_beats.ready.eq(placed_free & self.i_pieces.valid & piece.exists),
        ]
        with m.If(placed_free):
            m.d.sync += placed_valid.eq(supplied)
            with m.If(supplied):
                m.d.sync += [
                    placed.data.eq(Mux(piece.exists & ~bad, rotated, piece.pad.replicate(lanes))),
                    placed.kept.eq(lanes_from(offset, lanes)),
                    placed.total.eq(total),
                    placed.end.eq(piece.end),
                    placed.bad.eq(bad),
                    offset.eq(Mux(piece.end, 0, total)),
                    blamed.eq(~piece.end & (blamed | bad)),
                ]
                m.d.comb += blames.i.valid.eq(bad & ~blamed)
        m.d.comb += [
            blames.i.payload.address.eq(beat.address),
            blames.i.payload.code.eq(
                Mux(
                    beat.denied,
                    FaultCode.WINDOW,
                    Mux(beat.resp[0], FaultCode.READ_DECERR, FaultCode.READ_SLVERR),
                )
            ),
        ]

        # Merge: `waiting` is the beat being filled. It is `complete` when it only waits to leave,
        # and then the piece behind it starts the next beat at lane 0.
        waiting = Signal(switch_beat(self._data_bits))
        complete = Signal()
        reported = Signal()  # the BD whose beat leaves next has reported already
        out_free = Signal()
        fills = Signal()
        wraps = Signal()
        take = Signal()
        merged = Signal(self._data_bits)
        spoilt = Signal()  # a byte of `merged` is of a bad beat
        reports = Signal()
        kept = Signal(self._data_bits)
        m.d.comb += [
            out_free.eq(~self.o.valid | self.o.ready),
            fills.eq((placed.total >= lanes) | placed.end),
            wraps.eq(placed.total > lanes),
            take.eq(placed_valid & (out_free | ~(complete | fills))),
            placed_free.eq(~placed_valid | take),
            kept.eq(spread(placed.kept)),
            merged.eq((placed.data & kept) | (waiting.data & ~kept)),
            spoilt.eq(waiting.error | placed.bad),
            blames.o.ready.eq(reports),
            self.fault.code.eq(Mux(reports, blames.o.payload.code, FaultCode.NONE)),
            self.fault.address.eq(blames.o.payload.address),
            self.fault.tag.eq(0),
            self.fault.named.eq(0),
        ]
        m.d.sync += reports.eq(0)
        with m.If(out_free):
            m.d.sync += self.o.valid.eq(complete | (placed_valid & fills))
            with m.If(complete):
                m.d.sync += self.o.payload.eq(waiting)
                m.d.sync += [
                    reports.eq(waiting.error & ~reported),
                    reported.eq(~waiting.end & (reported | waiting.error)),
                ]
            with m.Elif(placed_valid & fills):
                m.d.sync += [
                    self.o.payload.data.eq(merged),
                    self.o.payload.count.eq(Mux(wraps, lanes, placed.total)),
                    self.o.payload.end.eq(placed.end & ~wraps),
                    self.o.payload.error.eq(spoilt),
                    reports.eq(spoilt & ~reported),
                    reported.eq((~placed.end | wraps) & (reported | spoilt)),
                ]
        with m.If(take):
            m.d.sync += [
                waiting.data.eq(Mux(complete | wraps, placed.data, merged)),
                waiting.count.eq(Mux(wraps, placed.total - lanes, placed.total)),
                waiting.end.eq(placed.end),
            ]
            with m.If(complete | wraps):
                m.d.sync += [
                    complete.eq(Mux(complete, fills, placed.end)),
                    waiting.error.eq(placed.bad),
                ]
            with m.Elif(fills):
                m.d.sync += waiting.error.eq(0)
            with m.Else():
                m.d.sync += waiting.error.eq(spoilt)
        with m.Elif(complete & out_free):
            m.d.sync += [complete.eq(0), waiting.error.eq(0)]

        m.d.comb += self.retired.eq(self.o.valid & self.o.ready & self.o.payload.end)
        return m
