from itertools import chain, pairwise
from typing import Any

import pytest
from amaranth.back import verilog
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In
from hypothesis import given, settings
from hypothesis import strategies as st

from support.bench import collect, feed, run, stalls, watch
from support.pages import named_config
from weft.hw.bus import AxiLiteBridge, PageDecoder
from weft.hw.bus.access import RegisterAccessSignature
from weft.hw.bus.axi import AxiLiteSignature, Response
from weft.hw.bus.registers import (
    DESCRIPTOR_STORE,
    PAGE_BYTES,
    RegisterBusSignature,
    RegisterMap,
)
from weft.hw.bus.wires import adopt

MAP = RegisterMap(named_config("tiny"))
PAGES = len(MAP.pages)


class Control(wiring.Component):
    """The bridge in front of pages that refuse, alone or beside another master."""

    def __init__(self, *, shared: bool = False) -> None:
        self._shared = shared
        super().__init__(
            {
                "axil": In(AxiLiteSignature(address_bits=MAP.address_bits)),
                "other": In(RegisterAccessSignature(address_bits=MAP.address_bits)),
            }
        )
        self.pages = [RegisterBusSignature().create(path=(f"page_{i}",)) for i in range(PAGES)]

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.bridge = bridge = AxiLiteBridge(address_bits=MAP.address_bits)
        m.submodules.decoder = decoder = PageDecoder(register_map=MAP, masters=1 + self._shared)
        adopt(bridge, "axil", self.axil)
        masters = [wiring.flipped(bridge.access), self.other]
        adopt(decoder, "masters", masters[: 1 + self._shared])
        adopt(decoder, "pages", self.pages)
        for page in self.pages:
            m.d.comb += page.error.eq(page.request & page_refuses(page.offset))
        return m


async def flood(ctx, access, accesses, stall, answers) -> None:
    """Another master's accesses; what each was answered, and whether it was accepted in the cycle
    after the one before."""
    answers.clear()
    waiting, left, under_way = False, list(accesses), [None, None]
    while left or any(under_way):
        waiting = bool(left) and (waiting or not next(stall))
        ctx.set(access.request.valid, waiting)
        if waiting:
            ctx.set(access.request.payload, left[0])
        _, _, ready, error, data = await ctx.tick().sample(
            access.request.ready, access.answer.error, access.answer.data
        )
        answered = under_way.pop()
        if answered is not None:
            answers.append((bool(error), data, answered["at once"]))
        under_way.insert(0, {"at once": bool(under_way[0])} if waiting and ready else None)
        if waiting and ready:
            del left[0]
            waiting = False


def is_mapped(address: int) -> bool:
    return address % 4 == 0 and address // PAGE_BYTES < PAGES


def page_word(page: int, offset: int) -> int:
    return (page << 28) | offset ^ 0x5A5A5A


def page_refuses(offset: Any) -> Any:
    return offset % 32 == 8


def pages_of(dut: Control, log: list) -> list:
    """A page model for each port: reads in the next cycle, notes what reached it."""

    def model(index: int):
        port = dut.pages[index]

        async def page(ctx):
            while True:
                _, _, request, write, offset, word = await ctx.tick().sample(
                    port.request, port.write, port.offset, port.write_data
                )
                # Anything but an answer to a request must not be looked at.
                ctx.set(port.read_data, page_word(index, offset) if request else 0xDEADBEEF)
                if request:
                    log.append((index, write, offset, word if write else None))

        return page

    return [model(index) for index in range(PAGES)]


addresses = st.builds(
    lambda page, word, skew: page * PAGE_BYTES + word * 4 + skew,
    st.sampled_from([0, 1, PAGES - 1, PAGES, (1 << MAP.address_bits - 14) - 1]),
    st.sampled_from([0, 1, 2, 5, 0xFFF, 0x1000, 0x1001, 0x1002, 0x1FFF]),
    st.sampled_from([0, 0, 0, 0, 1, 2, 3]),
)
words = st.integers(0, 2**32 - 1)
probabilities = st.sampled_from([0.0, 0.3, 0.9])


@settings(max_examples=25, deadline=None)
@given(
    writes=st.lists(st.tuples(addresses, words, st.sampled_from([15, 15, 15, 14, 0])), max_size=12),
    reads=st.lists(addresses, max_size=12),
    others=st.lists(st.tuples(addresses, st.booleans(), words), max_size=12),
    chances=st.tuples(*[probabilities] * 6),
    seed=st.integers(0, 1000),
)
def test_every_access_is_answered_once(writes, reads, others, chances, seed) -> None:
    dut = Control(shared=True)
    log: list = []
    answers: dict[str, list] = {}
    give = {
        name: stalls(chance, (seed, name)) for name, chance in zip("awrBRo", chances, strict=True)
    }
    bus = dut.axil

    async def addresses_out(ctx):
        log.clear()
        await feed(ctx, bus.aw, [{"addr": address} for address, _, _ in writes], give["a"])

    async def data_out(ctx):
        await feed(
            ctx, bus.w, [{"data": data, "strb": strb} for _, data, strb in writes], give["w"]
        )

    async def reads_out(ctx):
        await feed(ctx, bus.ar, [{"addr": address} for address in reads], give["r"])

    async def responses(ctx):
        answers["b"] = await collect(ctx, bus.b, len(writes), give["B"])

    async def read_data(ctx):
        answers["r"] = await collect(ctx, bus.r, len(reads), give["R"])

    other_answers: list = []

    async def other(ctx):
        accesses = [{"address": a, "write": w, "data": d} for a, w, d in others]
        await flood(ctx, dut.other, accesses, give["o"], other_answers)

    run(
        dut,
        [addresses_out, data_out, reads_out, responses, read_data, other],
        background=[watch(bus.b, "b"), watch(bus.r, "r"), *pages_of(dut, log)],
    )
    good = [is_mapped(address) and strb == 15 for address, _, strb in writes]
    assert [answer.resp for answer in answers["b"]] == [
        Response.OKAY if ok and not page_refuses(address % PAGE_BYTES) else Response.SLVERR
        for ok, (address, _, _) in zip(good, writes, strict=True)
    ]
    for address, answer in zip(reads, answers["r"], strict=True):
        page, offset = divmod(address, PAGE_BYTES)
        ok = is_mapped(address) and not page_refuses(offset)
        assert answer.resp == (Response.OKAY if ok else Response.SLVERR)
        assert answer.data == (page_word(page, offset) if ok else 0)
    ok, reached = True, []
    for access, (error, data, at_once) in zip(others, other_answers, strict=True):
        # What follows an error at once is not done either.
        page, offset = divmod(access[0], PAGE_BYTES)
        if ok or not at_once:
            ok = is_mapped(access[0]) and not page_refuses(offset)
            reached += [access] * is_mapped(access[0])
        assert error == (not ok)
        assert data == (page_word(page, offset) if ok else 0)
    # What is refused on the way never reaches a page; the rest does once, in each master's order.
    expected = [
        [(address, 1, data) for ok, (address, data, _) in zip(good, writes, strict=True) if ok],
        [(address, 0, None) for address in reads if is_mapped(address)],
        [(a, int(w), d if w else None) for a, w, d in reached],
    ]
    arrived = [(page * PAGE_BYTES + offset, w, data) for page, w, offset, data in log]
    assert sorted(arrived, key=repr) == sorted(chain(*expected), key=repr)
    for queue in expected:
        rest = iter(arrived)
        assert all(access in rest for access in queue)


async def answer_cycles(ctx, valid, count: int) -> list[int]:
    cycles, cycle = [], 0
    while len(cycles) < count:
        _, _, seen = await ctx.tick().sample(valid)
        if seen:
            cycles.append(cycle)
        cycle += 1
    return cycles


def test_four_cycles_an_access() -> None:
    dut = Control()
    bus, count = dut.axil, 10

    async def write_address(ctx):
        await feed(ctx, bus.aw, [{"addr": 0}] * count)

    async def write_data(ctx):
        await feed(ctx, bus.w, [{"data": 0, "strb": 15}] * count)

    async def check(ctx):
        ctx.set(bus.b.ready, 1)
        ctx.set(bus.r.ready, 1)
        cycles = await answer_cycles(ctx, bus.b.valid, count)
        assert cycles == [4 + 4 * index for index in range(count)]
        ctx.set(bus.ar.payload, {"addr": 0})
        ctx.set(bus.ar.valid, 1)
        cycles = await answer_cycles(ctx, bus.r.valid, count)
        assert cycles == [4 + 4 * index for index in range(count)]

    run(dut, [write_address, write_data, check], background=pages_of(dut, []))


def test_reads_and_writes_take_turns() -> None:
    dut = Control()
    bus, log = dut.axil, []

    async def check(ctx):
        log.clear()
        for channel, payload in (
            (bus.aw, {"addr": 0}),
            (bus.w, {"data": 0, "strb": 15}),
            (bus.ar, {"addr": 0}),
        ):
            ctx.set(channel.payload, payload)
            ctx.set(channel.valid, 1)
        ctx.set(bus.b.ready, 1)
        ctx.set(bus.r.ready, 1)
        await ctx.tick().repeat(40)

    run(dut, [check], background=pages_of(dut, log))
    order = [entry[1] for entry in log]
    assert len(order) >= 13
    assert all(a != b for a, b in pairwise(order))


def test_the_bridge_waits_a_cycle_for_the_other_master_and_the_other_is_not_starved() -> None:
    dut = Control(shared=True)
    bus = dut.axil
    served = []

    async def flooding(ctx):
        ctx.set(dut.other.request.payload, {"address": 0})
        ctx.set(dut.other.request.valid, 1)
        async for _, _, ready in ctx.tick().sample(dut.other.request.ready):
            served.append(ready)

    async def check(ctx):
        served.clear()
        ctx.set(bus.r.ready, 1)
        ctx.set(bus.b.ready, 1)
        for idle in (0, 1, 0, 0, 1):
            await ctx.tick().repeat(7 + idle)
            ctx.set(bus.ar.payload, {"addr": 0})
            ctx.set(bus.ar.valid, 1)
            await ctx.tick()
            ctx.set(bus.ar.valid, 0)
            (cycle,) = await answer_cycles(ctx, bus.r.valid, 1)
            assert cycle in (3, 4)
        served.clear()
        for channel, payload in (
            (bus.aw, {"addr": 0}),
            (bus.w, {"data": 0, "strb": 15}),
            (bus.ar, {"addr": 0}),
        ):
            ctx.set(channel.payload, payload)
            ctx.set(channel.valid, 1)
        await ctx.tick().repeat(100)
        assert sum(served) >= 100 / 5

    run(dut, [check], background=[flooding, *pages_of(dut, [])])


@pytest.mark.parametrize("bridged", [False, True])
def test_writes_to_a_descriptor_store_follow_one_another_and_nothing_follows_others(
    bridged: bool,
) -> None:
    dut = Control(shared=True)
    store, count = DESCRIPTOR_STORE, 60
    accesses = [
        {"address": PAGE_BYTES + offset, "write": write, "data": index}
        for index, (offset, write) in enumerate([(store, 1), (store, 1), (4, 1), (store, 0)] * 15)
    ]
    answers: list = []
    arrived: list = []

    async def other(ctx):
        await flood(ctx, dut.other, accesses, stalls(0, "o"), answers)

    async def requests(ctx):
        arrived.clear()
        async for _, _, *seen in ctx.tick().sample(*(port.request for port in dut.pages)):
            arrived.append(seen.index(1) if any(seen) else None)

    async def reads(ctx):
        if bridged:
            await feed(ctx, dut.axil.ar, [{"addr": 0}] * 10)

    async def data(ctx):
        if bridged:
            assert len(await collect(ctx, dut.axil.r, 10)) == 10

    run(dut, [other, reads, data], background=[requests, *pages_of(dut, [])])
    assert len(answers) == count
    # Each of four accesses takes a cycle; after the third and the fourth, and a read of the
    # bridge's, one is lost.
    cycles = [cycle for cycle, page in enumerate(arrived) if page == 1]
    bridge = sum(page == 0 for page in arrived[cycles[0] : cycles[-1]])
    assert cycles[-1] - cycles[0] + 1 == count // 4 * 6 - 1 + 2 * bridge
    assert bool(bridge) == bridged


def test_of_a_row_of_writes_to_a_store_nothing_is_done_behind_the_first_error() -> None:
    dut = Control(shared=True)
    answers: list = []
    log: list = []
    # The third is refused; the last one comes when its master knows.
    row = [{"address": DESCRIPTOR_STORE + 4 * i, "write": 1, "data": i} for i in range(6)]

    async def other(ctx):
        await flood(ctx, dut.other, row[:5], stalls(0, "o"), answers)
        log.append([error for error, _, _ in answers])
        await flood(ctx, dut.other, row[5:], stalls(0, "o"), answers)
        log.append([error for error, _, _ in answers])

    run(dut, [other], background=pages_of(dut, log))
    assert [entry for entry in log if isinstance(entry, list)] == [[0, 0, 1, 1, 1], [0]]
    written = [entry[3] for entry in log if isinstance(entry, tuple) and entry[1]]
    assert written == [0, 1, 2, 5]


def test_an_error_of_one_master_is_not_the_others() -> None:
    dut = Control(shared=True)
    refused = [{"address": DESCRIPTOR_STORE + 8, "write": 1, "data": 0}] * 60

    async def other(ctx):
        await flood(ctx, dut.other, refused, stalls(0.3, "o"), [])

    async def reads(ctx):
        await feed(ctx, dut.axil.ar, [{"addr": 4}] * 15)

    async def data(ctx):
        answers = await collect(ctx, dut.axil.r, 15)
        assert {(a.resp, a.data) for a in answers} == {(Response.OKAY, page_word(0, 4))}

    run(dut, [other, reads, data], background=pages_of(dut, []))


@pytest.mark.parametrize("masters", [0, 3])
def test_an_impossible_number_of_masters_is_refused(masters: int) -> None:
    with pytest.raises(ValueError, match=f"1 or 2 masters, not {masters}"):
        PageDecoder(register_map=MAP, masters=masters)


def test_verilog() -> None:
    assert "module control" in verilog.convert(Control(), name="control")
