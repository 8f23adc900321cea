"""From runs of bytes to the bursts that AXI4 allows."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import BOUNDARY_BYTES
from ..mover.descriptor import RUN_LENGTH_BITS

__all__ = ["BurstLegalizer", "burst_layout", "span_layout"]


def span_layout(address_bits: int) -> data.StructLayout:
    """``size`` bytes from ``address`` up; ``end`` ends the BD."""
    return data.StructLayout({"address": address_bits, "size": RUN_LENGTH_BITS, "end": 1})


def burst_layout(address_bits: int) -> data.StructLayout:
    """A burst of ``len`` + 1 full-width beats from the aligned ``addr`` up.

    ``size`` bytes of the span are in it. ``end``: the BD ends with it. ``none``: there is no burst,
    only the end of a BD.
    """
    size = BOUNDARY_BYTES.bit_length()
    return data.StructLayout({"addr": address_bits, "len": 8, "size": size, "end": 1, "none": 1})


class BurstLegalizer(wiring.Component):
    """Cuts a span of bytes into INCR bursts of full-width beats.

    The beats are those that hold a byte of the span; bursts are consecutive and each is as long as
    the cap, the next 4 KiB boundary and the span allow. A span that comes while none is being cut
    is accepted at once and offers its first burst in the same cycle, combinationally; then one
    burst a cycle follows. The next span is accepted in the cycle in which the last burst is taken,
    and offers its first in the next. An empty span gives one entry with ``none`` set. The ready
    path is combinational from ``o`` to ``i``.

    Parameters
    ----------
    address_bits, data_bits
        Widths of the AXI4 address and data channels.
    burst_beats
        Cap on the length of a burst, a power of two that does not exceed a page.

    Members
    -------
    i : stream of :func:`span_layout`
    o : stream of :func:`burst_layout`

    Source: AMBA AXI (ARM IHI 0022), burst length and the 4 KiB rule; the split of legalizer and
    transport is that of PULP's iDMA.
    """

    def __init__(self, *, address_bits: int, data_bits: int, burst_beats: int) -> None:
        self._address_bits = address_bits
        self._data_bits = data_bits
        self._burst_beats = burst_beats
        super().__init__(
            {
                "i": In(stream.Signature(span_layout(address_bits))),
                "o": Out(stream.Signature(burst_layout(address_bits))),
            }
        )

    @property
    def address_bits(self) -> int:
        return self._address_bits

    @property
    def data_bits(self) -> int:
        return self._data_bits

    @property
    def burst_beats(self) -> int:
        return self._burst_beats

    def elaborate(self, platform: object) -> Module:
        m = Module()
        lanes = self._data_bits // 8
        lane_bits = (lanes - 1).bit_length()
        page_beats = BOUNDARY_BYTES // lanes
        page_bits = (page_beats - 1).bit_length()
        span = self.i.payload

        count_shape = range(-(-((1 << RUN_LENGTH_BITS) + lanes) // lanes))
        cutting = Signal()  # a span is in the registers
        beat = Signal(self._address_bits - lane_bits)
        left = Signal(count_shape)
        end = Signal()
        before, behind = Signal(lane_bits), Signal(lane_bits)  # lanes that are not the span's

        # An empty span has no beat, wherever it lies.
        touched = Signal(count_shape)
        with m.If(span.size != 0):
            reach = span.address[:lane_bits] + span.size + (lanes - 1)
            m.d.comb += touched.eq(reach >> lane_bits)
        now_beat = Signal.like(beat)
        now_left = Signal.like(left)
        now_before, now_behind = Signal.like(before), Signal.like(behind)
        outer = span.address[:lane_bits], -(span.address[:lane_bits] + span.size)
        m.d.comb += [
            now_before.eq(Mux(cutting, before, outer[0])),
            now_behind.eq(Mux(cutting, behind, outer[1])),
            now_beat.eq(Mux(cutting, beat, span.address >> lane_bits)),
            now_left.eq(Mux(cutting, left, touched)),
        ]

        to_page = page_beats - now_beat[:page_bits]
        nearest = Signal(range(self._burst_beats + 1))
        count = Signal(range(self._burst_beats + 1))
        final = Signal()
        m.d.comb += [
            nearest.eq(Mux(to_page < self._burst_beats, to_page, self._burst_beats)),
            final.eq(now_left <= nearest),
            count.eq(Mux(final, now_left, nearest)),
            self.o.valid.eq(cutting | self.i.valid),
            self.o.payload.addr.eq(now_beat << lane_bits),
            self.o.payload.len.eq(count - 1),
            self.o.payload.size.eq((count << lane_bits) - now_before - Mux(final, now_behind, 0)),
            self.o.payload.end.eq(Mux(cutting, end, span.end) & final),
            self.o.payload.none.eq(now_left == 0),
            self.i.ready.eq(~cutting | (self.o.ready & final)),
        ]
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += end.eq(span.end)
        with m.If(cutting & self.o.ready & final):
            m.d.sync += [
                cutting.eq(self.i.valid),
                beat.eq(span.address >> lane_bits),
                left.eq(touched),
                before.eq(outer[0]),
                behind.eq(outer[1]),
            ]
        with m.Elif(self.o.valid & self.o.ready):
            m.d.sync += [
                cutting.eq(~final),
                beat.eq(now_beat + count),
                left.eq(now_left - count),
                before.eq(0),
                behind.eq(now_behind),
            ]
        with m.Elif(self.i.valid):
            m.d.sync += [cutting.eq(1), beat.eq(now_beat), left.eq(now_left)]
            m.d.sync += [before.eq(now_before), behind.eq(now_behind)]
        return m
