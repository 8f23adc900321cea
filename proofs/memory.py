"""The scratchpad's banks: one grant, to who asks, and nobody starves."""

from dataclasses import replace
from functools import partial
from types import SimpleNamespace
from typing import Any

from amaranth.hdl import Assume, Cat, Const, Module, Mux, Signal, Value

from weft.hw.config import MemoryConfig
from weft.hw.memory.bank import Bank
from weft.hw.memory.link import Link
from weft.hw.memory.requester import Requester
from weft.hw.memory.share import PortShare

from .harness import always, free, strengthen
from .proof import Mutant, Proof
from .specs import Circle, Foretold, Steady

__all__ = ["PROOFS"]

AGING = 3
PRIORITIES = (True, False, True, False)
SEATS = len(PRIORITIES)
MEMORY = MemoryConfig(banks=2, bank_bits=16, rows=2, groups=(2, 1), aging=AGING)
URGENT = replace(MEMORY, fill_priority=True)
INDEX = 1
SHARING = (True, True, False)


def bank_harness(design: Any, memory: MemoryConfig) -> Module:
    return harness(design, Link, memory)


def link_harness(design: Any, memory: MemoryConfig) -> Module:
    return harness(Bank, design, memory)


def harness(bank_design: Any, link_design: Any, memory: MemoryConfig) -> Module:
    """A bank and everybody at it, each of whom also has requests for another bank."""
    m = Module()
    fill_priority = memory.fill_priority
    requesters = [
        Requester(reach=0, residue=0, high_priority=priority, reads=True, writes=True)
        for priority in PRIORITIES
    ]
    m.submodules.bank = bank = bank_design(memory=memory, requesters=requesters, seats=SEATS)
    asking, aged, stalled = Signal(SEATS), Signal(SEATS), Signal(SEATS)
    upper, circling, grant = Signal(SEATS), Signal(SEATS), bank.grant
    m.submodules.circle = circle = Circle(asking=circling, grant=grant, turn=Const(1))
    m.d.comb += [
        upper.eq(asking & (aged | Cat(Const(high, 1) for high in PRIORITIES))),
        # Before those that have not aged others can go again and again, if urgency counts.
        circling.eq(asking & aged if fill_priority else upper),
    ]
    counts, urgent = Signal(), Signal(SEATS)
    if fill_priority:
        free(m, counts)
    for seat, requester in enumerate(requesters):
        link = link_design(memory=memory, requester=requester, places=(seat, seat), seats=SEATS)
        m.submodules[f"link_{seat}"] = link
        request = link.port.req
        free(m, request.valid, request.payload)
        m.submodules[f"steady_{seat}"] = Steady(request, rule=Assume)
        if memory.looks_ahead:
            free(m, link.port.following)
            m.submodules[f"foretold_{seat}"] = Foretold(link.port, rule=Assume)
        asks = request.valid & (request.payload.bank == INDEX)
        always(m, link.asks[INDEX] == asks, "a request is for its bank")
        m.d.comb += [
            bank.asks[seat].eq(link.asks[INDEX]),
            bank.aged[seat].eq(link.aged[INDEX]),
            link.grants[INDEX].eq(grant),  # the other bank grants nothing
            asking[seat].eq(asks),
            aged[seat].eq(link.aged[INDEX]),
        ]
        if fill_priority:
            free(m, link.port.urgent)
            m.d.comb += [
                link.fill_priority.eq(counts),
                bank.urgent[seat].eq(link.urgent),
                urgent[seat].eq(counts & (link.port.urgent | Cat(link.aged).any())),
            ]
            always(m, link.urgent == urgent[seat], "urgent or aged, while that counts")
        m.d.sync += stalled[seat].eq(request.valid & ~request.ready)
        always(m, request.ready == (asks & grant[seat]), "who is granted learns it")
        # Cycles in a row in which the request was there and was not granted.
        streak = Signal(range(AGING + SEATS + 1), name=f"streak_{seat}")
        with m.If(~asks | request.ready):
            m.d.sync += streak.eq(0)
        with m.Else():
            m.d.sync += streak.eq(streak + 1)
        ages = fill_priority or not requester.high_priority
        bound = SEATS - 1 + (AGING if ages else 0)
        always(m, streak <= bound, "a request is granted within a bound")
        always(m, Const(ages, 1) | ~Cat(link.aged).any(), "only the low class ages")
        always(m, asks | ~link.aged[INDEX], "a request ages at its bank")
        strengthen(link, ageing(seat, ages, link, asks, stalled, streak, circle))
    always(m, (grant & (grant - 1)) == 0, "one grant at most")
    always(m, (grant & ~asking) == 0, "a grant is for one that asks")
    always(m, ~asking.any() | grant.any(), "somebody is granted if anybody asks")
    always(m, ~upper.any() | (grant & upper).any(), "the high class and the aged go first")
    for members in (upper, asking & ~upper):
        pressing = (members & urgent).any() & (members & grant).any()
        always(m, ~pressing | (grant & urgent).any(), "the urgent of a class go first")

    def invariant(inner: Module, inside: SimpleNamespace) -> None:
        circle.invariant(inner, inside.high_after)

    strengthen(bank, invariant)
    return m


def ageing(
    seat: int,
    ages: bool,
    link: Link,
    asks: Value,
    stalled: Value,
    streak: Value,
    circle: Circle,
) -> Any:
    def invariant(inner: Module, inside: SimpleNamespace) -> None:
        if not ages:
            always(inner, ~asks | (streak == circle.waits[seat]), "it waits in the circle")
            always(inner, stalled[seat] | (circle.waits[seat] == 0), "it has not waited yet")
            always(inner, stalled[seat] | (streak == 0), "it has not waited yet")
            return
        with inner.If(~stalled[seat]):
            young = ~Cat(link.aged).any()
            always(inner, (streak == 0) & (inside.lost == 0) & young, "it has not waited yet")
            always(inner, circle.waits[seat] == 0, "it has not waited yet")
        with inner.Elif(asks):
            wait = circle.waits[seat]
            with inner.If(link.aged[INDEX]):
                always(inner, streak == AGING + wait, "it aged, then it waits in the circle")
            with inner.Else():
                always(inner, (streak == inside.lost) & (wait == 0), "it ages")
        always(inner, inside.lost < AGING, "its age is in range")

    return invariant


def meant(request: Any) -> Value:
    """What counts of a request: data and strobe with `write` alone."""
    word = Cat(request.data, request.strobe)
    return Cat(request.bank, request.row, request.write, Mux(request.write, word, 0))


def share_harness(design: Any, memory: MemoryConfig) -> Module:
    m = Module()
    m.submodules.share = share = design(memory=memory, reads=SHARING)
    request = share.memory.req
    asking = Cat(client.req.valid for client in share.clients)
    served = Cat(client.req.ready for client in share.clients)
    granted = asking & served
    free(m, request.ready, share.memory.rsp)
    m.submodules.steady = Steady(
        SimpleNamespace(valid=request.valid, ready=request.ready, payload=meant(request.payload))
    )
    for number, client in enumerate(share.clients):
        free(m, client.req.valid, client.req.payload)
        m.submodules[f"steady_{number}"] = Steady(client.req, rule=Assume)
        if memory.looks_ahead:
            free(m, client.following)
            m.submodules[f"foretold_{number}"] = Foretold(client, rule=Assume)
        m.d.comb += Assume(client.req.payload.write == (not SHARING[number]))
        shown = meant(request.payload) == meant(client.req.payload)
        always(m, ~granted[number] | shown, "what is granted is what was asked")
    m.submodules.circle = circle = Circle(
        asking=asking, grant=served, turn=request.valid & request.ready
    )
    always(m, request.valid == asking.any(), "somebody asks if anybody does")
    always(m, (served & (served - 1)) == 0, "one grant at most")
    always(m, granted.any() == (request.valid & request.ready), "a grant is passed on")
    expected = granted & Cat(Const(reads, 1) for reads in SHARING)
    owed = expected
    for stage in range(memory.latency):
        following = Signal.like(asking, name=f"owed_{stage}")
        m.d.sync += following.eq(owed)
        owed = following
    m.d.comb += Assume(~share.memory.rsp.valid | owed.any())
    given = Cat(client.rsp.valid for client in share.clients)
    always(m, given == Mux(share.memory.rsp.valid, owed, 0), "who has read has the response")

    def invariant(inner: Module, inside: SimpleNamespace) -> None:
        turn, after = inside.turn, inside.after
        if not memory.looks_ahead:
            circle.invariant(inner, after)
            return
        circle.invariant(inner, after | turn)
        always(inner, (turn & (turn - 1)) == 0, "one turn at most")
        always(inner, (turn & ~asking) == 0, "it is the turn of one that asks")
        always(inner, turn.any() == asking.any(), "somebody has the turn if anybody asks")
        for seat, own in enumerate(turn):
            always(inner, ~own | (after == (-2 << seat) % (1 << len(turn))), "then those above it")

    strengthen(share, invariant)
    if memory.looks_ahead:
        m.submodules.foretold = Foretold(share.memory)
    return m


PROOFS = (
    Proof(
        name="bank",
        design=Bank,
        claim="at most one grant, to one that asks, in every cycle in which anybody asks; the high "
        "class and the aged first; a request is granted within (seats - 1) cycles, a "
        "low-priority one within aging more",
        size=f"{SEATS} seats in 2 classes, aging {AGING}",
        harness=partial(bank_harness, memory=MEMORY),
        depth=2,
        mutants=(
            Mutant(
                flaw="the lowest seat always wins",
                old="next_in_circle(choose, self._pressing(choose, high), high_after)",
                new="next_in_circle(choose, self._pressing(choose, high), 0)",
            ),
            Mutant(
                flaw="the aged stay in the low class",
                old="self.aged[seat] if seat in low_seats else asks",
                new="asks & 0 if seat in low_seats else asks",
            ),
        ),
        reach=10,
    ),
    Proof(
        name="bank-urgent",
        design=Bank,
        claim="with fill priority, switched on and off at will: as `bank`, and the urgent of a "
        "class before its others; any request is granted within aging + seats - 1 cycles",
        size=f"{SEATS} seats in 2 classes, aging {AGING}",
        harness=partial(bank_harness, memory=URGENT),
        depth=2,
        mutants=(
            Mutant(
                flaw="urgency is not looked at",
                old="pressing.eq(Mux(urgent.any(), urgent, asking))",
                new="pressing.eq(asking)",
            ),
            Mutant(
                flaw="of the high class only the urgent go before the low one",
                old="with choose.If(high.any()):",
                new="with choose.If((high & Cat(self.urgent)).any()):",
            ),
        ),
        reach=10,
    ),
    Proof(
        name="link-ageing",
        design=Link,
        claim="the same of what tells a bank who is urgent and who has aged",
        size=f"{SEATS} seats in 2 classes, aging {AGING}",
        harness=partial(link_harness, memory=URGENT),
        depth=2,
        mutants=(
            Mutant(
                flaw="only the low class ages",
                old="self._memory.fill_priority or not self._requester.high_priority",
                new="not self._requester.high_priority",
            ),
            Mutant(
                flaw="the aged are not urgent",
                old="(self.port.urgent | Cat(self.aged).any())",
                new="self.port.urgent",
            ),
            Mutant(
                flaw="urgent although switched off",
                old="self.fill_priority & (",
                new="(",
            ),
            Mutant(
                flaw="asks a bank for which the request is not",
                old="request.valid & (request.payload.bank == bank)",
                new="request.valid",
            ),
        ),
        reach=10,
    ),
    Proof(
        name="link-ahead",
        design=Link,
        claim="as `link-ageing` where whom to ask is looked up a cycle ahead: a request asks its "
        "bank, in its cycles",
        size=f"{SEATS} seats in 2 classes, aging {AGING}, 2 stages",
        harness=partial(link_harness, memory=replace(URGENT, crossbar_stages=2)),
        depth=2,
        mutants=(
            Mutant(
                flaw="asks for what follows before the grant",
                old="with m.If(~request.valid | request.ready):",
                new="with m.If(1):",
            ),
            Mutant(
                flaw="asks again for what has been granted",
                old="with m.If(~request.valid | request.ready):",
                new="with m.If(~request.valid):",
            ),
            Mutant(
                flaw="asks a bank for which the request is not",
                old="following.valid & (following.bank == bank)",
                new="following.valid",
            ),
        ),
        reach=10,
    ),
    Proof(
        name="port-share",
        design=PortShare,
        claim="a client waits for one grant of each other client at most; what is shown to the "
        "memory stays until its grant; a response goes to whoever has read",
        size="2 clients that read and 1 that writes, latency 1",
        harness=partial(share_harness, memory=MEMORY),
        depth=2,
        mutants=(
            Mutant(
                flaw="the first always goes first",
                old="next_in_circle(m, asking, after)",
                new="next_in_circle(m, asking, 0)",
            ),
            Mutant(
                flaw="another is shown when the first is not granted",
                old="after.eq(Mux(self.memory.req.ready, beyond, beyond | turn))",
                new="after.eq(beyond)",
            ),
            Mutant(
                flaw="responses go to whom it is the turn of now",
                old="                whose = following",
                new="                pass",
            ),
        ),
        reach=8,
    ),
    Proof(
        name="port-share-ahead",
        design=PortShare,
        claim="as `port-share` where the turn is chosen a cycle ahead: no cycle is lost, and the "
        "port tells ahead what it shows",
        size="2 clients that read and 1 that writes, 2 stages",
        harness=partial(share_harness, memory=replace(MEMORY, crossbar_stages=2)),
        depth=2,
        mutants=(
            Mutant(
                flaw="the turn goes on without a grant",
                old="with m.If(~request.valid | request.ready):",
                new="with m.If(1):",
            ),
            Mutant(
                flaw="who waits is not looked at",
                old="coming.eq(waiting | Cat(",
                new="coming.eq(Cat(",
            ),
            Mutant(
                flaw="tells what follows of one that still waits",
                old="Mux(waiting[index], shown, client.following.bank)",
                new="client.following.bank",
            ),
        ),
        reach=8,
    ),
)
