"""Where two streams differ first."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ...bus.record import operator_result
from ...bus.streams import switch_beat, switch_route
from ...config import ROUTE_BITS
from ..lanes import lanes_from
from .results import ResultQueue

__all__ = ["EQUAL", "LAST_OFFSET", "Compare"]

OFFSET_BITS = 32

EQUAL = (1 << OFFSET_BITS) - 1
"""The result where nothing differs."""

LAST_OFFSET = EQUAL - 1
"""Offsets beyond are given as this."""


class Compare(wiring.Component):
    """Lets the BDs of a source pass to the switch, or compares them with BDs of another source.

    A BD whose route ``meets`` another source does not go to the switch. The mover is a sink there
    instead, and the next BD of that other source that names it goes into ``i_other``. The result is
    the offset of the first byte in which the two differ, or :data:`EQUAL`; offsets above
    :data:`LAST_OFFSET` are given as that. They count from the BD's word on, so that a comparison
    may continue over several BDs. Where one BD ends before the other they differ at the first byte
    that only one of them has; the longer is taken to its end. The result of a BD that passes is
    EQUAL.

    A BD that passes does so in the cycle in which it is offered, a beat a cycle. Of two that are
    compared a beat each is taken in a cycle in which both are there (one that has ended is not
    waited for), one a cycle. The result of a BD whose last beat is taken in cycle t is offered in
    t+2. The streams stall when `results` BDs are over whose result has not been taken.

    The ready of each input depends, in a comparison, on the other's valid.

    Parameters
    ----------
    width
        Bits of a beat.
    results
        BDs whose result is under way or waits. 3 let BDs of one beat each pass without a stall.

    Members
    -------
    operator : stream of 32 bits
        The offset of the BD's first byte.
    route : stream of :func:`~weft.hw.bus.streams.switch_route`
        With every word, and popped with it.
    i, o : stream of :func:`~weft.hw.bus.streams.switch_beat`
    i_other : stream of :func:`~weft.hw.bus.streams.switch_beat`
        From the switch.
    source_route, sink_route : stream of ROUTE_BITS
        What the switch is to know of a BD that passes, and of one that is compared.
    finished : 1
        As the switch wants it of a sink: the comparison is over.
    o_result : stream of :func:`~weft.hw.bus.record.operator_result`
        One for each BD, in order; ``error``: a fault spoilt some bytes of one of the two.
    """

    def __init__(self, *, width: int, results: int = 16) -> None:
        self._width = width
        self._results = results
        beats, routes = stream.Signature(switch_beat(width)), stream.Signature(ROUTE_BITS)
        super().__init__(
            {
                "operator": In(stream.Signature(OFFSET_BITS)),
                "route": In(stream.Signature(switch_route())),
                "i": In(beats),
                "o": Out(beats),
                "i_other": In(beats),
                "source_route": Out(routes),
                "sink_route": Out(routes),
                "finished": Out(1),
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
        meets, opened, passes = Signal(), Signal(), Signal()
        m.d.comb += [
            meets.eq(self.route.payload.meets),
            opened.eq(self.route.valid & self.operator.valid & results.room),
        ]
        self._elaborate_routes(m, meets)

        # A beat of a BD that passes; or one of each stream that has not ended.
        sides = (self.i, self.i_other)
        ended, there, closes = Signal(2), Signal(2), Signal(2)
        taken, over = Signal(), Signal()
        absent = [Signal(lanes, name=f"absent_{k}") for k in range(2)]
        for k, side in enumerate(sides):
            m.d.comb += [
                there[k].eq(side.valid | ended[k]),
                closes[k].eq(side.payload.end | ended[k]),
                absent[k].eq(lanes_from(side.payload.count, lanes) | ended[k].replicate(lanes)),
            ]
        m.d.comb += [
            self.o.valid.eq(self.i.valid & opened & ~meets),
            self.o.payload.eq(self.i.payload),
            passes.eq(self.o.valid & self.o.ready),
            taken.eq(there.all() & opened & meets),
            self.i.ready.eq(Mux(meets, taken & ~ended[0], self.o.ready & opened)),
            self.i_other.ready.eq(taken & ~ended[1]),
            self.finished.eq(taken & closes.all()),
            over.eq(self.finished | (passes & self.i.payload.end)),
            self.operator.ready.eq(over),
            results.reserve.eq(over),
        ]
        with m.If(taken):
            m.d.sync += ended.eq(Mux(over, 0, closes))

        # Which lanes differ: bytes that both have, or one that only one of them has.
        a, b = self.i.payload, self.i_other.payload
        unequal = Cat(
            a.data.word_select(lane, 8) != b.data.word_select(lane, 8) for lane in range(lanes)
        )
        differ = Signal(lanes)
        first = Signal(init=1)
        position = Signal(OFFSET_BITS)  # of lane 0 of `differ`
        fresh, last, error = Signal(), Signal(), Signal()
        m.d.sync += [last.eq(over), differ.eq(0), fresh.eq(0)]
        with m.If(taken):
            m.d.sync += differ.eq((absent[0] ^ absent[1]) | (unequal & ~absent[0] & ~absent[1]))
        with m.If(taken | passes):
            m.d.sync += [
                first.eq(over),
                fresh.eq(first),
                position.eq(Mux(first, self.operator.payload, _saturated(position + lanes))),
                error.eq((a.error & ~ended[0]) | (b.error & meets & ~ended[1]) | (error & ~first)),
            ]

        # The lowest of them, unless an earlier beat had one.
        lane = Signal(range(lanes))
        kept, value = Signal(OFFSET_BITS), Signal(OFFSET_BITS)
        for index in reversed(range(lanes)):
            with m.If(differ[index]):
                m.d.comb += lane.eq(index)
        with m.If(~fresh & (kept != EQUAL)):
            m.d.comb += value.eq(kept)
        with m.Elif(differ.any()):
            m.d.comb += value.eq(_saturated(position + lane))
        with m.Else():
            m.d.comb += value.eq(EQUAL)
        m.d.sync += kept.eq(value)
        m.d.comb += [
            results.i.valid.eq(last),
            results.i.payload.value.eq(value),
            results.i.payload.error.eq(error),
            self.o_result.valid.eq(results.o.valid),
            self.o_result.payload.eq(results.o.payload),
            results.o.ready.eq(self.o_result.ready),
        ]
        return m

    def _elaborate_routes(self, m: Module, meets: Signal) -> None:
        """The one at the head is for the mover as a source, or as a sink."""
        route, source, sink = self.route, self.source_route, self.sink_route
        m.d.comb += [
            source.valid.eq(route.valid & ~meets),
            sink.valid.eq(route.valid & meets),
            source.payload.eq(route.payload.ends),
            sink.payload.eq(route.payload.ends),
            route.ready.eq(Mux(meets, sink.ready, source.ready)),
        ]


def _saturated(offset: Value) -> Value:
    return Mux(offset > LAST_OFFSET, LAST_OFFSET, offset)[:OFFSET_BITS]
