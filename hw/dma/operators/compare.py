"""Where two streams differ first."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ...bus.streams import switch_beat
from ..lanes import lanes_from
from .results import ResultQueue

__all__ = ["Compare", "compare_result"]

OFFSET_BITS = 32
LAST_OFFSET = (1 << OFFSET_BITS) - 1


def compare_result() -> data.StructLayout:
    """Of one pair of BDs: whether they ``differ``, and at which ``offset`` first (0 if nowhere).

    ``error``: a fault spoilt some of their bytes.
    """
    return data.StructLayout({"differ": 1, "offset": OFFSET_BITS, "error": 1})


def saturated(offset: Value) -> Value:
    return Mux(offset > LAST_OFFSET, LAST_OFFSET, offset)[:OFFSET_BITS]


class Compare(wiring.Component):
    """Takes two streams, BD by BD in pairs, and tells the first byte in which each pair differs.

    The pair's word is the offset of its first byte, so that a comparison may continue over several
    BDs. Where one BD ends before the other they differ at the first byte that only one of them has;
    the longer is taken to its end. Offsets of ``2**32 - 1`` and above are given as that.

    A beat of each stream is taken in a cycle in which both are there (one that has ended is not
    waited for), one a cycle. The result of a pair whose last beat is taken in cycle t is offered in
    t+2. The streams stall when `results` pairs are over whose result has not been taken.

    The ready of each input depends on the other's valid.

    Parameters
    ----------
    width
        Bits of a beat.
    results
        Pairs whose result is under way or waits. 3 let BDs of one beat each pass without a stall.

    Members
    -------
    operator : stream of 32 bits
        The offset of the pair's first byte.
    i : stream of :func:`~weft.hw.bus.streams.switch_beat`, 2
    o_result : stream of :func:`compare_result`
        One for each pair, in order.
    """

    def __init__(self, *, width: int, results: int = 16) -> None:
        self._width = width
        self._results = results
        super().__init__(
            {
                "operator": In(stream.Signature(OFFSET_BITS)),
                "i": In(stream.Signature(switch_beat(width))).array(2),
                "o_result": Out(stream.Signature(compare_result())),
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
        m.submodules.results = results = ResultQueue(compare_result(), depth=self._results)

        # Take a beat of each stream that has not ended.
        ended = Signal(2)
        there = Signal(2)
        closes = Signal(2)
        taken = Signal()
        over = Signal()
        absent = [Signal(lanes, name=f"absent_{k}") for k in range(2)]
        for k, side in enumerate(self.i):
            m.d.comb += [
                there[k].eq(side.valid | ended[k]),
                closes[k].eq(side.payload.end | ended[k]),
                side.ready.eq(taken & ~ended[k]),
                absent[k].eq(lanes_from(side.payload.count, lanes) | ended[k].replicate(lanes)),
            ]
        m.d.comb += [
            taken.eq(there.all() & self.operator.valid & results.room),
            over.eq(taken & closes.all()),
            self.operator.ready.eq(over),
            results.reserve.eq(over),
        ]
        with m.If(taken):
            m.d.sync += ended.eq(Mux(over, 0, closes))

        # Which lanes differ: bytes that both have, or one that only one of them has.
        a, b = self.i[0].payload, self.i[1].payload
        unequal = Cat(
            a.data.word_select(lane, 8) != b.data.word_select(lane, 8) for lane in range(lanes)
        )
        differ = Signal(lanes)
        first = Signal(init=1)
        position = Signal(OFFSET_BITS)  # of lane 0 of `differ`
        fresh = Signal()
        last = Signal()
        error = Signal()
        m.d.sync += last.eq(over)
        with m.If(taken):
            m.d.sync += [
                differ.eq((absent[0] ^ absent[1]) | (unequal & ~absent[0] & ~absent[1])),
                first.eq(over),
                fresh.eq(first),
                position.eq(Mux(first, self.operator.payload, saturated(position + lanes))),
                error.eq((a.error & ~ended[0]) | (b.error & ~ended[1]) | (error & ~first)),
            ]
        with m.Else():
            m.d.sync += [differ.eq(0), fresh.eq(0)]

        # The lowest of them, unless an earlier beat had one.
        lane = Signal(range(lanes))
        found = Signal()
        offset = Signal(OFFSET_BITS)
        result = results.i.payload
        for index in reversed(range(lanes)):
            with m.If(differ[index]):
                m.d.comb += lane.eq(index)
        m.d.comb += [
            result.differ.eq(differ.any() | (found & ~fresh)),
            result.offset.eq(
                Mux(
                    found & ~fresh,
                    offset,
                    saturated(position + lane) & differ.any().replicate(OFFSET_BITS),
                )
            ),
            result.error.eq(error),
            results.i.valid.eq(last),
            self.o_result.valid.eq(results.o.valid),
            self.o_result.payload.eq(results.o.payload),
            results.o.ready.eq(self.o_result.ready),
        ]
        m.d.sync += [found.eq(result.differ), offset.eq(result.offset)]
        return m
