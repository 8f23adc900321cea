"""From runs of bytes to what one beat can take of them."""

from amaranth.hdl import Const, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..mover.descriptor import RUN_LENGTH_BITS
from .shaper import run_layout

__all__ = ["RunCutter", "piece_layout"]


def piece_layout(address_bits: int, lanes: int) -> data.StructLayout:
    """``count`` (1 ... lanes) successive bytes of a run, ``lane`` being that of the first.

    Bytes that ``exist`` lie in one bus beat; the others are clipped and their ``lane`` is 0.
    ``address`` is that of the run, ``end`` marks the BD's last piece.
    """
    return data.StructLayout(
        {
            "exists": 1,
            "lane": range(lanes),
            "count": range(lanes + 1),
            "pad": 8,
            "end": 1,
            "address": address_bits,
        }
    )


class RunCutter(wiring.Component):
    """Cuts a run at the borders of bus beats.

    The low clipped bytes come first (up to a beat of them a piece), then one piece for each bus
    beat that the existing bytes touch, then the high clipped ones. A run accepted in cycle t offers
    its first piece in t+1, then one piece a cycle; the next run is accepted in the cycle in which
    the last piece is taken. ``o.payload`` is a function of registers; the ready path is
    combinational from ``o`` to ``i``.

    Parameters
    ----------
    address_bits
        Width of a run's address, at least that of a lane number.
    lanes
        Bytes of a bus beat, a power of two.
    clips
        Whether there may be clipped bytes.

    Members
    -------
    i : stream of :func:`~weft.hw.dma.shaper.run_layout` with `clips`
    o : stream of :func:`piece_layout`
    """

    def __init__(self, *, address_bits: int, lanes: int, clips: bool = True) -> None:
        self._address_bits = address_bits
        self._lanes = lanes
        self._clips = clips
        super().__init__(
            {
                "i": In(stream.Signature(run_layout(address_bits, clips=clips))),
                "o": Out(stream.Signature(piece_layout(address_bits, lanes))),
            }
        )

    @property
    def address_bits(self) -> int:
        return self._address_bits

    @property
    def lanes(self) -> int:
        return self._lanes

    @property
    def clips(self) -> bool:
        return self._clips

    def elaborate(self, platform: object) -> Module:
        m = Module()
        lanes = self._lanes
        lane_bits = (lanes - 1).bit_length()
        run = self.i.payload
        piece = self.o.payload

        zero = Const(0, RUN_LENGTH_BITS)
        low, high = (run.low, run.high) if self._clips else (zero, zero)
        left = Signal(run.size.shape())  # bytes from the present piece on that are like it
        # What comes behind them: the existing bytes and the high clipped ones, if there are any.
        body, tail = Signal(), Signal()
        then_size, then_high = Signal(run.size.shape()), Signal(RUN_LENGTH_BITS)
        then_lane = Signal(lane_bits)
        end = Signal()

        room = Signal(range(lanes + 1))
        done = Signal()
        final = Signal()
        m.d.comb += [
            room.eq(lanes - piece.lane),
            done.eq(left <= room),
            piece.count.eq(Mux(done, left, room)),
            final.eq(done & ~body & ~tail),
            piece.end.eq(end & final),
            self.i.ready.eq(~self.o.valid | (self.o.ready & final)),
        ]
        with m.If(self.i.ready):
            m.d.sync += self.o.valid.eq(self.i.valid)
            with m.If(self.i.valid):
                clipped, exists = Signal(), Signal()
                lane = run.address[:lane_bits]
                m.d.comb += [clipped.eq(low.any()), exists.eq(run.size.any())]
                m.d.sync += [
                    left.eq(Mux(clipped, low, Mux(exists, run.size, high))),
                    body.eq(clipped & exists),
                    tail.eq((clipped | exists) & high.any()),
                    then_size.eq(run.size),
                    then_high.eq(high),
                    then_lane.eq(lane),
                    end.eq(run.end),
                    piece.exists.eq(~clipped & exists),
                    piece.lane.eq(Mux(~clipped & exists, lane, 0)),
                    piece.pad.eq(run.pad),
                    piece.address.eq(run.address),
                ]
        with m.Elif(self.o.ready):
            m.d.sync += [left.eq(left - room), piece.lane.eq(0)]
            with m.If(done & body):
                m.d.sync += [
                    left.eq(then_size),
                    body.eq(0),
                    piece.exists.eq(1),
                    piece.lane.eq(then_lane),
                ]
            with m.Elif(done):
                m.d.sync += [left.eq(then_high), tail.eq(0), piece.exists.eq(0)]
        return m
