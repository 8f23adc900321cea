"""From runs of bytes to the bursts that AXI4 allows."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..bus.cut import cut_if
from ..config import BOUNDARY_BYTES
from ..mover.descriptor import RUN_LENGTH_BITS

__all__ = ["BurstLegalizer", "burst_layout", "span_layout"]


def span_layout(address_bits: int) -> data.StructLayout:
    """The bytes from ``address`` to before ``after``, if it ``exists``; ``end`` ends the BD."""
    return data.StructLayout(
        {"address": address_bits, "after": address_bits, "exists": 1, "end": 1}
    )


def burst_layout(address_bits: int, lanes: int) -> data.StructLayout:
    """A burst of ``len`` + 1 full-width beats of `lanes` bytes from the aligned ``addr`` up.

    All its bytes are the span's but the first ``before`` and the last ``behind``. ``end``: the BD
    ends with it. ``none``: there is no burst, only the end of a BD.
    """
    return data.StructLayout(
        {
            "addr": address_bits,
            "len": 8,
            "before": range(lanes),
            "behind": range(lanes),
            "end": 1,
            "none": 1,
        }
    )


class BurstLegalizer(wiring.Component):
    """Cuts a span of bytes into INCR bursts of full-width beats.

    The beats are those that hold a byte of the span; bursts are consecutive and each is as long as
    the cap, the next 4 KiB boundary and the span allow. A span that comes while none is being cut
    is accepted at once and offers its first burst in the same cycle, combinationally; then one
    burst a cycle follows. The next span is accepted in the cycle in which the last burst is taken,
    and offers its first in the next. A span that does not exist gives one entry with ``none`` set.
    The ready path is combinational from ``o`` to ``i``. If it is `pipelined`, a span passes a
    register on its way in and a burst one on its way out, and ``i.ready`` is a register as well.

    Parameters
    ----------
    address_bits, data_bits
        Widths of the AXI4 address and data channels.
    burst_beats
        Cap on the length of a burst, a power of two that does not exceed a page.
    pipelined
        Whether there is a register on either side.

    Members
    -------
    i : stream of :func:`span_layout`
        Of less than 2 ** (RUN_LENGTH_BITS + 1) bytes.
    o : stream of :func:`burst_layout`

    Source: AMBA AXI (ARM IHI 0022), burst length and the 4 KiB rule; the split of legalizer and
    transport is that of PULP's iDMA.
    """

    def __init__(
        self, *, address_bits: int, data_bits: int, burst_beats: int, pipelined: bool = False
    ) -> None:
        self._address_bits = address_bits
        self._data_bits = data_bits
        self._burst_beats = burst_beats
        self._pipelined = pipelined
        super().__init__(
            {
                "i": In(stream.Signature(span_layout(address_bits))),
                "o": Out(stream.Signature(burst_layout(address_bits, data_bits // 8))),
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

    @property
    def pipelined(self) -> bool:
        return self._pipelined

    def elaborate(self, platform: object) -> Module:
        m = Module()
        lanes = self._data_bits // 8
        lane_bits = (lanes - 1).bit_length()
        cap_bits = (self._burst_beats - 1).bit_length()
        page_bits = (BOUNDARY_BYTES // lanes - 1).bit_length()
        span = self.i.payload

        def longest(beat: Value, bursts: int) -> Value:
            """How many beats a burst may have, `bursts` after one that begins at `beat`.

            So many as the cap says, but for one that begins in the last block of a page.
            """
            low, block = beat[:cap_bits], Cat(beat[cap_bits:page_bits], 0)
            last = (1 << page_bits - cap_bits) - 1
            return self._burst_beats - Mux(block == last - bursts, low, 0)

        # A span in beats: the first, how many `more` there are, how many the next burst may have,
        # and which lanes `before` and `behind` are not the span's.
        beats = data.StructLayout(
            {
                "beat": self._address_bits - lane_bits,
                "more": RUN_LENGTH_BITS + 2 - lane_bits,
                "longest": range(self._burst_beats + 1),
                "before": range(lanes),
                "behind": range(lanes),
                "exists": 1,
                "end": 1,
            }
        )
        counted = stream.Signature(beats).create()
        first, after = span.address >> lane_bits, span.after >> lane_bits
        partial = span.after[:lane_bits].any()
        # after - first - 1, and the beat that is begun: the lowest bit carries.
        more = (Cat(1, after) + Cat(partial, ~first))[1:]
        m.d.comb += [
            counted.payload.beat.eq(first),
            counted.payload.more.eq(Mux(span.exists, more, 0)),
            counted.payload.longest.eq(longest(first, 0)),
            counted.payload.before.eq(span.address[:lane_bits]),
            counted.payload.behind.eq(-span.after[:lane_bits]),
            counted.payload.exists.eq(span.exists),
            counted.payload.end.eq(span.end),
            counted.valid.eq(self.i.valid),
            self.i.ready.eq(counted.ready),
        ]
        spans = cut_if(self._pipelined, m, "spans", counted, both=True)

        cutting = Signal()  # `held` is being cut
        held, now = Signal(beats), Signal(beats)
        final = Signal()
        burst = stream.Signature(self.o.payload.shape()).create()
        m.d.comb += [
            now.eq(Mux(cutting, held, spans.payload)),
            final.eq(now.more < now.longest),
            burst.valid.eq(cutting | spans.valid),
            burst.payload.addr.eq(now.beat << lane_bits),
            burst.payload.len.eq(Mux(final, now.more, now.longest - 1)),
            burst.payload.before.eq(now.before),
            burst.payload.behind.eq(Mux(final, now.behind, 0)),
            burst.payload.end.eq(now.end & final),
            burst.payload.none.eq(~now.exists),
            spans.ready.eq(~cutting | (burst.ready & final)),
        ]
        m.d.sync += cutting.eq(Mux(burst.ready & final, cutting & spans.valid, burst.valid))
        # It means nothing, and need not be kept, while it is not `cutting`.
        with m.If(~burst.ready):
            m.d.sync += held.eq(now)
        with m.Elif(final):
            m.d.sync += held.eq(spans.payload)
        with m.Else():
            m.d.sync += [
                held.eq(now),
                held.beat.eq(now.beat + now.longest),
                held.more.eq(now.more - now.longest),
                held.longest.eq(longest(now.beat, 1)),
                held.before.eq(0),
            ]
        bursts = cut_if(self._pipelined, m, "bursts", burst, both=True)
        m.d.comb += [
            self.o.valid.eq(bursts.valid),
            self.o.payload.eq(bursts.payload),
            bursts.ready.eq(self.o.ready),
        ]
        return m
