from itertools import pairwise

from amaranth.back import verilog
from hypothesis import given, settings
from hypothesis import strategies as st

from support.bench import collect, feed, run, stalls, watch
from support.pages import named_config
from weft.hw.bus import AxiLiteBridge
from weft.hw.bus.axi import Response
from weft.hw.bus.registers import PAGE_BYTES, RegisterMap

MAP = RegisterMap(named_config("tiny"))
PAGES = len(MAP.pages)


def is_mapped(address: int) -> bool:
    return address % 4 == 0 and address // PAGE_BYTES < PAGES


def page_word(page: int, offset: int) -> int:
    return (page << 28) | offset ^ 0x5A5A5A


def page_refuses(offset: int) -> bool:
    return offset % 32 == 8


def pages_of(dut: AxiLiteBridge, log: list) -> list:
    """A page model for each port: answers in the next cycle, notes what reached it."""

    def model(index: int):
        port = dut.pages[index]

        async def page(ctx):
            while True:
                _, _, request, write, offset, word = await ctx.tick().sample(
                    port.request, port.write, port.offset, port.write_data
                )
                # Anything but an answer to a request must not be looked at.
                ctx.set(port.read_data, page_word(index, offset) if request else 0xDEADBEEF)
                ctx.set(port.error, page_refuses(offset) if request else 1)
                if request:
                    log.append((index, write, offset, word if write else None))

        return page

    return [model(index) for index in range(PAGES)]


addresses = st.builds(
    lambda page, word, skew: page * PAGE_BYTES + word * 4 + skew,
    st.sampled_from([0, 1, PAGES - 1, PAGES, (1 << MAP.address_bits - 14) - 1]),
    st.sampled_from([0, 1, 2, 5, 0x7FF, 0xFFF]),
    st.sampled_from([0, 0, 0, 0, 1, 2, 3]),
)
words = st.integers(0, 2**32 - 1)
probabilities = st.sampled_from([0.0, 0.3, 0.9])


@settings(max_examples=25, deadline=None)
@given(
    writes=st.lists(st.tuples(addresses, words, st.sampled_from([15, 15, 15, 14, 0])), max_size=12),
    reads=st.lists(addresses, max_size=12),
    chances=st.tuples(*[probabilities] * 5),
    seed=st.integers(0, 1000),
)
def test_every_access_is_answered_once(writes, reads, chances, seed) -> None:
    dut = AxiLiteBridge(register_map=MAP)
    log: list = []
    answers: dict[str, list] = {}
    give = {
        name: stalls(chance, (seed, name)) for name, chance in zip("awrBR", chances, strict=True)
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

    run(
        dut,
        [addresses_out, data_out, reads_out, responses, read_data],
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
    # What is refused by the bridge never reaches a page; the rest does once and in order.
    assert [entry for entry in log if entry[1]] == [
        (address // PAGE_BYTES, 1, address % PAGE_BYTES, data)
        for ok, (address, data, _) in zip(good, writes, strict=True)
        if ok
    ]
    assert [entry for entry in log if not entry[1]] == [
        (address // PAGE_BYTES, 0, address % PAGE_BYTES, None)
        for address in reads
        if is_mapped(address)
    ]


async def answer_cycles(ctx, valid, count: int) -> list[int]:
    cycles, cycle = [], 0
    while len(cycles) < count:
        _, _, seen = await ctx.tick().sample(valid)
        if seen:
            cycles.append(cycle)
        cycle += 1
    return cycles


def test_three_cycles_an_access() -> None:
    dut = AxiLiteBridge(register_map=MAP)
    bus, count = dut.axil, 10

    async def write_address(ctx):
        await feed(ctx, bus.aw, [{"addr": 0}] * count)

    async def write_data(ctx):
        await feed(ctx, bus.w, [{"data": 0, "strb": 15}] * count)

    async def check(ctx):
        ctx.set(bus.b.ready, 1)
        ctx.set(bus.r.ready, 1)
        cycles = await answer_cycles(ctx, bus.b.valid, count)
        assert cycles == [3 + 3 * index for index in range(count)]
        ctx.set(bus.ar.payload, {"addr": 0})
        ctx.set(bus.ar.valid, 1)
        cycles = await answer_cycles(ctx, bus.r.valid, count)
        assert cycles == [3 + 3 * index for index in range(count)]

    run(dut, [write_address, write_data, check], background=pages_of(dut, []))


def test_reads_and_writes_take_turns() -> None:
    dut = AxiLiteBridge(register_map=MAP)
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
    assert len(order) >= 18
    assert all(a != b for a, b in pairwise(order))


def test_verilog() -> None:
    assert "module bridge" in verilog.convert(AxiLiteBridge(register_map=MAP), name="bridge")
