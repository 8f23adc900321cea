"""Whose turn it is among clients of two classes."""

from collections.abc import Sequence
from functools import reduce
from operator import or_

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Turns", "chosen", "lowest", "next_in_circle"]


class Turns(wiring.Component):
    """An arbiter: the high class before the low one, and a circle within each.

    `grant` is combinational from `asking`. Within a class it is the first that asks after the last
    winner of that class, in a circle. The low class has its turn when nobody of the high class
    asks, or when the high class has won `aging` times in a row while somebody of the low class
    asked. Somebody always wins when anybody asks.

    Hence with H high and L low clients, one that keeps asking sees at most H - 1 + ceil(H / aging)
    others win before it if it is high, and (L - 1) + L * aging if it is low.

    Parameters
    ----------
    priorities
        One entry a client, at least one: whether it is of the high class.
    aging
        At least 1.

    Members
    -------
    asking : a bit for each client
    grant : a bit for each client
        One-hot; zero when nobody asks.
    taken : 1
        The grant of this cycle, if there is one, has been used: the next one is another's turn.
    """

    def __init__(self, *, priorities: Sequence[bool], aging: int) -> None:
        if not priorities:
            raise ValueError("an arbiter has at least one client")
        if aging < 1:
            raise ValueError(f"aging is at least 1, not {aging}")
        self._priorities = tuple(priorities)
        self._aging = aging
        count = len(self._priorities)
        super().__init__({"asking": In(count), "grant": Out(count), "taken": In(1)})

    @property
    def priorities(self) -> tuple[bool, ...]:
        return self._priorities

    @property
    def aging(self) -> int:
        return self._aging

    def elaborate(self, platform: object) -> Module:
        m = Module()
        high, low, low_first = Signal.like(self.asking), Signal.like(self.asking), Signal()
        m.d.comb += [
            high.eq(self.asking & Cat(Const(of_high, 1) for of_high in self._priorities)),
            low.eq(self.asking & ~high),
        ]
        if len(set(self._priorities)) == 2:
            passed = Signal(range(self._aging + 1))
            m.d.comb += low_first.eq(low.any() & (~high.any() | (passed == self._aging)))
            with m.If(~low.any() | (self.taken & low_first)):
                m.d.sync += passed.eq(0)
            with m.Elif(self.taken):
                m.d.sync += passed.eq(passed + 1)
        else:
            m.d.comb += low_first.eq(low.any())

        # A circle of its own for each class: else the low class would move the high one's on.
        for served, asking in ((~low_first, high), (low_first, low)):
            after = Signal.like(self.asking)
            winner, beyond = next_in_circle(m, asking, after)
            with m.If(served):
                m.d.comb += self.grant.eq(winner)
                with m.If(self.taken & asking.any()):
                    m.d.sync += after.eq(beyond)
        return m


def next_in_circle(m: Module, asking: Value, after: Value) -> tuple[Value, Value]:
    """The lowest bit of `asking` among those in `after`, or of all where there is none, one-hot;
    and the bits beyond it. By trees, which are faster than chains of carries."""
    eligible = Signal(len(asking))
    m.d.comb += eligible.eq(asking & after)
    of_eligible, of_all = _from_lowest(m, eligible), _from_lowest(m, asking)
    upward = Signal(len(asking))
    m.d.comb += upward.eq(Mux(of_eligible[-1], of_eligible, of_all))
    beyond = (upward << 1)[: len(asking)]
    return upward & ~beyond, beyond


def lowest(m: Module, bits: Value) -> Value:
    """The lowest of `bits` that is set, one-hot; by a tree."""
    upward = _from_lowest(m, bits)
    return upward & ~(upward << 1)[: len(bits)]


def _from_lowest(m: Module, bits: Value) -> Value:
    """All bits from the lowest that is set on."""
    for step in range((len(bits) - 1).bit_length()):
        reached = Signal(len(bits))
        m.d.comb += reached.eq(bits | (bits << (1 << step))[: len(bits)])
        bits = reached
    return bits


def chosen(grant: Value, values: Sequence[Value]) -> Value:
    """That of `values`, one for each bit of `grant`, whose bit is set; 0 if none is."""
    return reduce(or_, (Mux(bit, value, 0) for bit, value in zip(grant, values, strict=True)))
