"""An accelerator of the user's own: a signal times a window, lane by lane."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from weft.hw.bus.streams import compute_beat

__all__ = ["LANE_BITS", "Windowing"]

LANE_BITS = 16
"""Samples and coefficients are Q1.15: -1 up to, not including, 1."""

FRACTION = LANE_BITS - 1


def rounded(product: Value) -> Value:
    """A Q2.30 product as Q1.15: to the nearest, ties up; -1 times -1 is the largest below 1."""
    total = (product + (1 << (FRACTION - 1)))[FRACTION:].as_signed()
    highest = (1 << FRACTION) - 1
    return Mux(total > highest, highest, total)[:LANE_BITS]


class Windowing(wiring.Component):
    """Multiplies beats of two streams.

    A beat a cycle; the product of beats taken in cycle t is offered in t+2. `mark` and `end` are
    those of the signal. The ready of each input depends on the other's valid and on
    ``frames.ready`` in the same cycle.

    Parameters
    ----------
    lanes
        Numbers in a beat.

    Members
    -------
    signal, window, frames : stream of :func:`~weft.hw.bus.streams.compute_beat`
        Numbers of :data:`LANE_BITS`, the first in the lowest bits.
    """

    def __init__(self, *, lanes: int) -> None:
        self._lanes = lanes
        beat = stream.Signature(compute_beat(lanes * LANE_BITS))
        super().__init__({"signal": In(beat), "window": In(beat), "frames": Out(beat)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        lanes = data.ArrayLayout(signed(LANE_BITS), self._lanes)
        samples = data.View(lanes, self.signal.payload.data)
        coefficients = data.View(lanes, self.window.payload.data)

        products = Signal(data.ArrayLayout(signed(2 * LANE_BITS), self._lanes))
        flags = Signal(3)
        filled = Signal()
        take = Signal()
        give = Signal()
        m.d.comb += [
            give.eq(filled & (~self.frames.valid | self.frames.ready)),
            take.eq(self.signal.valid & self.window.valid & (~filled | give)),
            self.signal.ready.eq(take),
            self.window.ready.eq(take),
        ]
        with m.If(take):
            m.d.sync += [products[i].eq(samples[i] * coefficients[i]) for i in range(self._lanes)]
            m.d.sync += [
                flags.eq(
                    Cat(
                        self.signal.payload.mark,
                        self.signal.payload.end,
                        self.signal.payload.error | self.window.payload.error,
                    )
                ),
                filled.eq(1),
            ]
        with m.Elif(give):
            m.d.sync += filled.eq(0)

        out = self.frames.payload
        with m.If(give):
            m.d.sync += [
                out.data.eq(Cat(rounded(products[i]) for i in range(self._lanes))),
                Cat(out.mark, out.end, out.error).eq(flags),
                self.frames.valid.eq(1),
            ]
        with m.Elif(self.frames.ready):
            m.d.sync += self.frames.valid.eq(0)
        return m
