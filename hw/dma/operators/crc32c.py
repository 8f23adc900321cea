"""CRC-32C of the passing bytes."""

from functools import partial

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ...bus.record import operator_result
from ...bus.streams import switch_beat
from ..lanes import lanes_from, spread
from .castagnoli import STATE_BITS, absorb, advance, linear, rewind
from .results import ResultQueue

__all__ = ["Crc32c"]


class Crc32c(wiring.Component):
    """Lets a stream pass and gives the CRC-32C of the bytes of each BD.

    The BD's word is the CRC of the bytes that precede it: 0 for a fresh one, the result of another
    BD to continue that.

    ``o`` is ``i`` in the same cycle, a beat a cycle. The result of a BD whose last beat passes in
    cycle t is offered in ``t + 3 + (width // 8).bit_length()``, a BD a cycle. The stream stalls
    before the next BD's first beat at the earliest: as long as `results` BDs have passed whose
    result has not been taken.

    One matrix folds a whole beat into the register, bytes that do not count being zeros; at the end
    of a BD the register is wound back over as many zero bytes, a power of two a cycle.

    Parameters
    ----------
    width
        Bits of a beat, at least 32.
    results
        BDs whose result is under way or waits. At least ``2 + (width // 8).bit_length()`` lets
        BDs of one beat each pass without a stall.

    Members
    -------
    operator : stream of 32 bits
        The CRC of the bytes before the BD.
    i, o : stream of :func:`~weft.hw.bus.streams.switch_beat`
    o_result : stream of :func:`~weft.hw.bus.record.operator_result`
        The CRC; one for each BD, in order.

    Source: RFC 3720, appendix B.4 (the polynomial, the bit order, and the inversions).
    """

    def __init__(self, *, width: int, results: int = 16) -> None:
        if width < STATE_BITS:
            raise ValueError(f"a beat has at least {STATE_BITS} bits, not {width}")
        self._width = width
        self._results = results
        super().__init__(
            {
                "operator": In(stream.Signature(STATE_BITS)),
                "i": In(stream.Signature(switch_beat(width))),
                "o": Out(stream.Signature(switch_beat(width))),
                "o_result": Out(stream.Signature(operator_result())),
            }
        )

    @property
    def width(self) -> int:
        return self._width

    @property
    def results(self) -> int:
        return self._results

    def elaborate(self, platform: object) -> Module:
        m = Module()
        lanes = self._width // 8
        m.submodules.results = results = ResultQueue(operator_result(), depth=self._results)
        beat = self.i.payload
        opened = self.operator.valid & results.room
        passes = Signal()
        m.d.comb += [
            self.o.valid.eq(self.i.valid & opened),
            self.o.payload.eq(beat),
            self.i.ready.eq(self.o.ready & opened),
            passes.eq(self.o.valid & self.o.ready),
            self.operator.ready.eq(passes & beat.end),
            results.reserve.eq(passes & beat.end),
        ]

        # Bytes that do not count become zeros. In a register, because XORs of ANDs fit LUTs badly.
        absent_lanes = Signal(lanes)
        kept = Signal(
            data.StructLayout(
                {
                    "data": self._width,
                    "before": STATE_BITS,
                    "first": 1,
                    "error": 1,
                    "end": 1,
                    "absent": range(lanes + 1),
                }
            )
        )
        kept_valid = Signal()
        first = Signal(init=1)
        m.d.comb += absent_lanes.eq(lanes_from(beat.count, lanes))
        m.d.sync += kept_valid.eq(passes)
        with m.If(passes):
            m.d.sync += [
                first.eq(beat.end),
                kept.data.eq(beat.data & ~spread(absent_lanes)),
                kept.before.eq(~self.operator.payload),
                kept.first.eq(first),
                kept.error.eq(beat.error),
                kept.end.eq(beat.end),
                kept.absent.eq(lanes - beat.count),
            ]

        # Fold: the register goes through the beat as if it were zeros, and the beat through a
        # register of zeros.
        state = Signal(STATE_BITS)
        error = Signal()
        before = Signal(STATE_BITS)
        m.d.comb += before.eq(Mux(kept.first, kept.before, state))
        with m.If(kept_valid):
            m.d.sync += [
                state.eq(
                    linear(partial(advance, length=lanes), before)
                    ^ linear(partial(absorb, length=lanes), kept.data)
                ),
                error.eq(kept.error | (error & ~kept.first)),
            ]

        # Wind back over the bytes that did not count.
        valid, absent = Signal(), Signal(range(lanes + 1))
        m.d.sync += [valid.eq(kept_valid & kept.end), absent.eq(kept.absent)]
        for level in range(len(absent)):
            earlier = linear(partial(rewind, length=1 << level), state)
            after = Signal.like(state, name=f"state_{level}")
            following, spoilt = Signal(name=f"valid_{level}"), Signal(name=f"error_{level}")
            m.d.sync += [
                after.eq(Mux(absent[0], earlier, state)),
                following.eq(valid),
                spoilt.eq(error),
            ]
            if len(absent) > 1:
                rest = Signal(len(absent) - 1, name=f"absent_{level}")
                m.d.sync += rest.eq(absent[1:])
                absent = rest
            state, valid, error = after, following, spoilt
        m.d.comb += [
            results.i.valid.eq(valid),
            results.i.payload.value.eq(~state),
            results.i.payload.error.eq(error),
            self.o_result.valid.eq(results.o.valid),
            self.o_result.payload.eq(results.o.payload),
            results.o.ready.eq(self.o_result.ready),
        ]
        return m
