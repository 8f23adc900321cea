"""The scratchpad's banks: one grant, to who asks, and nobody starves."""

from types import SimpleNamespace
from typing import Any

from amaranth.hdl import Assume, Cat, Const, Module, Signal, Value

from weft.hw.config import MemoryConfig
from weft.hw.memory.bank import Bank
from weft.hw.memory.link import Link
from weft.hw.memory.requester import Requester

from .harness import always, free, strengthen
from .proof import Mutant, Proof
from .specs import Circle, Steady

__all__ = ["PROOFS"]

AGING = 3
PRIORITIES = (True, False, True, False)
SEATS = len(PRIORITIES)
MEMORY = MemoryConfig(banks=2, bank_bits=16, rows=2, groups=(2, 1), aging=AGING)
INDEX = 1


def bank_harness(design: Any) -> Module:
    m = Module()
    requesters = [
        Requester(reach=0, residue=0, high_priority=priority, reads=True, writes=True)
        for priority in PRIORITIES
    ]
    m.submodules.bank = bank = design(
        memory=MEMORY, index=INDEX, requesters=requesters, seats=SEATS
    )
    asking, aged, stalled = Signal(SEATS), Signal(SEATS), Signal(SEATS)
    upper, grant = Signal(SEATS), bank.grant
    m.submodules.circle = circle = Circle(asking=upper, grant=grant, turn=Const(1))
    m.d.comb += upper.eq(asking & (aged | Cat(Const(high, 1) for high in PRIORITIES)))
    for seat, requester in enumerate(requesters):
        link = Link(memory=MEMORY, requester=requester, places=(seat, seat), seats=SEATS)
        m.submodules[f"link_{seat}"] = link
        request = link.port.req
        free(m, request.valid, request.payload)
        m.submodules[f"steady_{seat}"] = Steady(request, rule=Assume)
        asks = request.valid & (request.payload.bank == INDEX)
        m.d.comb += [
            bank.valid[seat].eq(request.valid),
            Value.cast(bank.request[seat]).eq(Value.cast(request.payload)),
            bank.aged[seat].eq(link.aged),
            link.grants[INDEX].eq(grant),  # the other bank grants nothing
            asking[seat].eq(asks),
            aged[seat].eq(link.aged),
        ]
        m.d.sync += stalled[seat].eq(request.valid & ~request.ready)
        always(m, request.ready == (asks & grant[seat]), "who is granted learns it")
        # Cycles in a row in which the request was there and was not granted.
        streak = Signal(range(AGING + SEATS + 1), name=f"streak_{seat}")
        with m.If(~asks | request.ready):
            m.d.sync += streak.eq(0)
        with m.Else():
            m.d.sync += streak.eq(streak + 1)
        bound = SEATS - 1 + (0 if requester.high_priority else AGING)
        always(m, streak <= bound, "a request is granted within a bound")
        always(m, ~Const(requester.high_priority, 1) | ~link.aged, "only the low class ages")
        strengthen(link, ageing(seat, requester, link, asks, stalled, streak, circle))
    always(m, (grant & (grant - 1)) == 0, "one grant at most")
    always(m, (grant & ~asking) == 0, "a grant is for one that asks")
    always(m, ~asking.any() | grant.any(), "somebody is granted if anybody asks")
    always(m, ~upper.any() | (grant & upper).any(), "the high class and the aged go first")

    def invariant(inner: Module, inside: SimpleNamespace) -> None:
        circle.invariant(inner, inside.high_after)

    strengthen(bank, invariant)
    return m


def ageing(
    seat: int,
    requester: Requester,
    link: Link,
    asks: Value,
    stalled: Value,
    streak: Value,
    circle: Circle,
) -> Any:
    def invariant(inner: Module, inside: SimpleNamespace) -> None:
        if requester.high_priority:
            always(inner, ~asks | (streak == circle.waits[seat]), "it waits in the circle")
            always(inner, stalled[seat] | (circle.waits[seat] == 0), "it has not waited yet")
            always(inner, stalled[seat] | (streak == 0), "it has not waited yet")
            return
        with inner.If(~stalled[seat]):
            always(inner, (streak == 0) & (inside.lost == 0) & ~link.aged, "it has not waited yet")
            always(inner, circle.waits[seat] == 0, "it has not waited yet")
        with inner.Elif(asks):
            wait = circle.waits[seat]
            with inner.If(link.aged):
                always(inner, streak == AGING + wait, "it aged, then it waits in the circle")
            with inner.Else():
                always(inner, (streak == inside.lost) & (wait == 0), "it ages")
        always(inner, inside.lost < AGING, "its age is in range")

    return invariant


PROOFS = (
    Proof(
        name="bank",
        design=Bank,
        claim="at most one grant, to one that asks, in every cycle in which anybody asks; the high "
        "class and the aged first; a request is granted within (seats - 1) cycles, a "
        "low-priority one within aging more",
        size=f"{SEATS} seats in 2 classes, aging {AGING}",
        harness=bank_harness,
        depth=2,
        mutants=(
            Mutant(
                flaw="the lowest seat always wins",
                old="pool = Mux(eligible.any(), eligible, asking)",
                new="pool = asking",
            ),
            Mutant(
                flaw="the aged stay in the low class",
                old="asks & self.aged[seat] if seat in low_seats else asks",
                new="asks & 0 if seat in low_seats else asks",
            ),
            Mutant(
                flaw="takes requests for another bank",
                old="(self.request[seat].bank == self._index)",
                new="1",
            ),
        ),
        reach=10,
    ),
)
