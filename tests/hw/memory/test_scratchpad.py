import random
from collections import Counter
from dataclasses import dataclass

import pytest
from amaranth.back import verilog
from hypothesis import given, settings
from hypothesis import strategies as st

from support.bench import run, stalls
from support.requests import ask
from weft.hw.config import MemoryConfig
from weft.hw.errors import ConfigError
from weft.hw.memory import Requester, Scratchpad
from weft.sim.golden.memory import Words


def config(stages: int = 1, aging: int = 5, **options: bool) -> MemoryConfig:
    return MemoryConfig(
        banks=8, bank_bits=16, rows=8, groups=(8, 1), crossbar_stages=stages, aging=aging, **options
    )


def everywhere(*, high: bool = True, reads: bool = True, writes: bool = True) -> Requester:
    return Requester(reach=0, residue=0, high_priority=high, reads=reads, writes=writes)


@dataclass
class Cycle:
    """What the ports showed in one cycle, each a list over the requesters."""

    valid: list[int]
    ready: list[int]
    payload: list
    responses: list


def exercise(dut, accesses, stall, seed, *, urgent=None, beside=(), limit=5000):
    """Make every requester go through its accesses; every cycle is recorded.

    With `urgent`, those requesters are urgent all the time, and urgency counts.
    """
    log: list[Cycle] = []
    signals = [
        signal
        for port in dut.ports
        for signal in (port.req.valid, port.req.ready, port.req.payload, port.rsp)
    ]

    async def record(ctx):
        log.clear()
        while True:
            _, _, *seen = await ctx.tick().sample(*signals)
            log.append(Cycle(seen[0::4], seen[1::4], seen[2::4], seen[3::4]))

    def requester(number):
        async def testbench(ctx):
            port, toss = dut.ports[number], stalls(stall, (seed, number))
            await ask(ctx, port, dut.memory, accesses[number], toss)

        return testbench

    async def urge(ctx):
        ctx.set(dut.fill_priority, 1)
        for number in urgent:
            ctx.set(dut.ports[number].urgent, 1)

    benches = [requester(number) for number in range(len(accesses))]
    benches += [*beside, *([] if urgent is None else [urge])]
    run(dut, benches, background=[record], limit=limit)
    return log


def check(dut, log, accesses=None):
    """Grants are exclusive, accesses happen in their order, and responses come when they must."""
    words = Words(dut.memory)
    due = [Counter() for _ in dut.ports]
    granted = [[] for _ in dut.ports]
    for time, cycle in enumerate(log):
        banks = Counter()
        for number, payload in enumerate(cycle.payload):
            response = cycle.responses[number]
            assert response.valid == (time in due[number])
            if response.valid:
                assert response.data == due[number][time]
            if not (cycle.valid[number] and cycle.ready[number]):
                assert not cycle.ready[number]
                continue
            banks[payload.bank] += 1
            granted[number].append(payload.as_bits())
            if payload.write:
                words.write(payload.bank, payload.row, payload.data, payload.strobe)
            else:
                due[number][time + dut.memory.latency] = words.read(payload.bank, payload.row)
        assert all(count == 1 for count in banks.values())
    if accesses is not None:
        layout = dut.ports[0].req.payload.shape()
        assert granted == [[layout.const(access).as_bits() for access in a] for a in accesses]


def waits(log, number):
    """How many cycles each request of a requester lost before its grant."""
    lost, result = 0, []
    for cycle in log:
        if cycle.valid[number]:
            if cycle.ready[number]:
                result.append(lost)
                lost = 0
            else:
                lost += 1
    return result


def random_accesses(memory, requester, count, toss):
    banks = list(requester.banks(memory))
    return [
        {
            "bank": toss.choice(banks),
            "row": toss.randrange(memory.rows),
            "write": requester.writes and (not requester.reads or toss.random() < 0.5),
            "data": toss.getrandbits(memory.bank_bits),
            "strobe": toss.getrandbits(memory.word_bytes),
        }
        for _ in range(count)
    ]


@settings(max_examples=15, deadline=None)
@given(
    stages=st.integers(1, 3),
    reaches=st.lists(
        st.tuples(st.sampled_from([0, 0, 2, 4]), st.booleans(), st.sampled_from(["r", "w", "rw"])),
        min_size=1,
        max_size=5,
    ),
    stall=st.sampled_from([0.0, 0.4, 0.9]),
    seed=st.integers(0, 1000),
)
def test_every_access_is_served_once(stages, reaches, stall, seed) -> None:
    memory, toss = config(stages), random.Random(seed)
    requesters = [everywhere()] + [
        Requester(
            reach=reach,
            residue=toss.randrange(max(reach, 1)),
            high_priority=high,
            reads="r" in use,
            writes="w" in use,
        )
        for reach, high, use in reaches
    ]
    dut = Scratchpad(memory=memory, requesters=requesters)
    accesses = [random_accesses(memory, requester, 40, toss) for requester in requesters]
    log = exercise(dut, accesses, stall, seed)
    check(dut, log, accesses)
    bound = len(requesters) - 1
    for number, requester in enumerate(requesters):
        aging = 0 if requester.high_priority else memory.aging
        assert max(waits(log, number)) <= aging + bound


@pytest.mark.parametrize("stages", [1, 2, 3])
def test_an_access_a_cycle_where_nobody_else_asks(stages) -> None:
    memory = config(stages)
    dut = Scratchpad(memory=memory, requesters=[everywhere(), everywhere()])
    accesses = [
        [{"bank": (offset + step) % 8, "row": 1} for step in range(30)] for offset in (0, 4)
    ]
    log = exercise(dut, accesses, 0.0, 0)
    check(dut, log, accesses)
    assert all(cycle.ready == [1, 1] for cycle in log[1:30])


@pytest.mark.parametrize("stall", [0.0, 0.5])
def test_stages_do_not_change_who_is_granted_when(stall) -> None:
    def grants(stages: int) -> list[tuple[list[int], list[int]]]:
        memory, toss = config(stages, aging=2), random.Random(7)
        requesters = [everywhere(high=number % 2 == 0) for number in range(5)]
        dut = Scratchpad(memory=memory, requesters=requesters)
        accesses = [random_accesses(memory, requester, 30, toss) for requester in requesters]
        log = exercise(dut, accesses, stall, 0)
        return [(cycle.valid, cycle.ready) for cycle in log if any(cycle.valid)]

    assert grants(1) == grants(2) == grants(3)


def hammer(bank, count):
    return [{"bank": bank, "row": 0}] * count


def test_a_class_is_served_in_a_circle() -> None:
    dut = Scratchpad(memory=config(), requesters=[everywhere() for _ in range(4)])
    log = exercise(dut, [hammer(3, 20)] * 4, 0.0, 0)
    check(dut, log)
    winners = [cycle.ready.index(1) for cycle in log if any(cycle.ready)]
    assert winners == [0, 1, 2, 3] * 20


def test_high_priority_goes_first_until_the_other_has_aged() -> None:
    memory = config(aging=6)
    dut = Scratchpad(memory=memory, requesters=[everywhere(), everywhere(high=False)])
    log = exercise(dut, [hammer(2, 60), hammer(2, 8)], 0.0, 0)
    check(dut, log)
    # It loses `aging` cycles, is lifted, and is next after the winner of the last cycle.
    assert set(waits(log, 1)) == {memory.aging}
    assert set(waits(log, 0)) == {0, 1}


def test_the_wait_is_bounded_where_a_bank_is_hammered_by_all() -> None:
    memory = config(aging=4)
    classes = [True, True, True, False, False, False, False]
    dut = Scratchpad(memory=memory, requesters=[everywhere(high=high) for high in classes])
    log = exercise(dut, [hammer(5, 100 if high else 12) for high in classes], 0.0, 0)
    check(dut, log)
    for number, high in enumerate(classes):
        lost = waits(log, number)
        assert len(lost) > 5
        assert max(lost) <= len(classes) - 1 + (0 if high else memory.aging)


def test_the_urgent_go_first_within_their_class_and_nobody_starves() -> None:
    memory = config(aging=3, fill_priority=True)
    classes = [True, True, True, True, False, False]
    requesters = [everywhere(high=high) for high in classes]
    accesses = [hammer(6, 12)] * len(classes)
    plain = Scratchpad(memory=config(aging=3), requesters=requesters)
    switched_off = Scratchpad(memory=memory, requesters=requesters)
    without = exercise(plain, accesses, 0.0, 0)
    log = exercise(switched_off, accesses, 0.0, 0)
    assert [cycle.ready for cycle in log] == [cycle.ready for cycle in without]

    dut = Scratchpad(memory=memory, requesters=requesters)
    log = exercise(dut, accesses, 0.0, 0, urgent=[1, 5])
    check(dut, log, accesses)
    winners = [cycle.ready.index(1) for cycle in log if any(cycle.ready)]
    # Until the others have aged, who then take a turn each.
    assert winners[:9] == [1, 1, 1, 2, 3, 4, 5, 0, 1]
    assert sum(waits(log, 1)) < sum(waits(without, 1))
    for number in range(len(classes)):
        assert max(waits(log, number)) <= memory.aging + len(classes) - 1


def test_every_bank_counts_its_conflicts() -> None:
    memory, toss = config(bank_counters=True), random.Random(4)
    requesters = [everywhere(high=number > 0) for number in range(4)]
    dut = Scratchpad(memory=memory, requesters=requesters)
    accesses = [random_accesses(memory, requester, 40, toss) for requester in requesters]
    counts = []

    async def counters(ctx):
        await ctx.tick().repeat(2)
        while any(ctx.get(port.req.valid) for port in dut.ports):
            await ctx.tick()
        await ctx.tick().repeat(2)
        counts[:] = [ctx.get(count) for count in dut.bank_conflicts]
        ctx.set(dut.clear_counters, 1)
        await ctx.tick()
        assert not any(ctx.get(count) for count in dut.bank_conflicts)

    log = exercise(dut, accesses, 0.0, 0, beside=[counters])
    expected = [
        sum(
            any(
                valid and not ready and payload.bank == bank
                for valid, ready, payload in zip(c.valid, c.ready, c.payload, strict=True)
            )
            for c in log
        )
        for bank in range(memory.banks)
    ]
    assert counts == expected
    assert sum(counts)


def test_a_request_out_of_reach_is_never_granted() -> None:
    near = Requester(reach=4, residue=1, high_priority=True, reads=True, writes=False)
    dut = Scratchpad(memory=config(), requesters=[everywhere(), near])

    async def stray(ctx):
        request = dut.ports[1].req
        ctx.set(request.payload, {"bank": 2})
        ctx.set(request.valid, 1)
        for _ in range(20):
            _, _, ready = await ctx.tick().sample(request.ready)
            assert not ready

    run(dut, [stray])


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"requester\.reach = 3: must be 0 \(all\) or a power"):
        Requester(reach=3, residue=0, high_priority=True, reads=True, writes=True)
    with pytest.raises(ConfigError, match=r"requester\.residue = 4: must be from 0 to 3"):
        Requester(reach=4, residue=4, high_priority=True, reads=True, writes=True)
    with pytest.raises(ConfigError, match="reads, writes, or both"):
        everywhere(reads=False, writes=False)
    far = Requester(reach=16, residue=9, high_priority=True, reads=True, writes=True)
    with pytest.raises(ConfigError, match=r"requester\.reach = 16: exceeds memory\.banks = 8"):
        Scratchpad(memory=config(), requesters=[everywhere(), far])
    half = Requester(reach=2, residue=0, high_priority=True, reads=True, writes=True)
    with pytest.raises(ConfigError, match="no requester reaches bank 1"):
        Scratchpad(memory=config(), requesters=[half])


@pytest.mark.parametrize(
    ("stages", "options"), [(1, {}), (3, {"fill_priority": True, "bank_counters": True})]
)
def test_it_can_be_emitted(stages, options) -> None:
    dut = Scratchpad(
        memory=config(stages, **options), requesters=[everywhere(), everywhere(high=False)]
    )
    assert "module scratchpad" in verilog.convert(dut, name="scratchpad")
