from support.bench import run
from support.pages import read, write
from weft.hw.bus.counters import Count
from weft.hw.bus.page import RegisterPage
from weft.hw.bus.registers import Page, Register, RegisterField


def field(name: str, low: int, width: int) -> RegisterField:
    return RegisterField(name=name, low=low, width=width, doc="")


def register(name: str, offset: int, access: str, *fields: RegisterField) -> Register:
    fields = fields or (field("value", 0, 32),)
    return Register(name=name, offset=offset, access=access, fields=fields, doc="")


PAGE = Page(
    name="test",
    base=0x4000,
    registers=(
        register("LEVEL", 0, "ro"),
        register("STATE", 4, "ro", field("low", 0, 4), field("high", 28, 4)),
        register("MASK", 8, "rw", field("a", 0, 1), field("b", 9, 2)),
        register("GO", 12, "wo", field("slot", 0, 8), field("flag", 16, 1)),
        register("EVENTS", 16, "w1c", field("a", 0, 1), field("b", 1, 1)),
        register("ASKED", 20, "w1s", field("a", 0, 1), field("b", 4, 1)),
    ),
)


def test_read_only() -> None:
    dut = RegisterPage(page=PAGE)
    assert dut.page is PAGE

    async def host(ctx):
        ctx.set(dut.level, 0x12345678)
        ctx.set(dut.state.low, 0xA)
        ctx.set(dut.state.high, 0x5)
        assert await read(ctx, dut.bus, 0) == (0x12345678, False)
        assert await read(ctx, dut.bus, 4) == (0x5000000A, False)
        assert await write(ctx, dut.bus, 0, 1)
        assert await write(ctx, dut.bus, 4, 1)

    run(dut, [host])


def test_read_write_keeps_the_bits_of_its_fields() -> None:
    dut = RegisterPage(page=PAGE)

    async def host(ctx):
        assert await read(ctx, dut.bus, 8) == (0, False)
        assert not await write(ctx, dut.bus, 8, 0xFFFFFFFF)
        assert await read(ctx, dut.bus, 8) == (0x601, False)
        assert ctx.get(dut.mask.b) == 3

    run(dut, [host])


def test_write_only_is_an_event_of_one_cycle() -> None:
    dut = RegisterPage(page=PAGE)
    events = []

    async def host(ctx):
        events.clear()
        assert not await write(ctx, dut.bus, 12, 0x10042)
        assert await write(ctx, dut.bus, 12, 0x20042), "a bit without a field"
        assert (await read(ctx, dut.bus, 12)) == (0, True)
        await ctx.tick().repeat(3)

    async def monitor(ctx):
        cycle = 0
        while True:
            _, _, valid, slot, flag = await ctx.tick().sample(
                dut.go.valid, dut.go.data.slot, dut.go.data.flag
            )
            if valid:
                events.append((cycle, slot, flag))
            cycle += 1

    run(dut, [host], background=[monitor])
    assert events == [(1, 0x42, 1)]


def test_write_one_to_set() -> None:
    dut = RegisterPage(page=PAGE)

    async def host(ctx):
        assert not await write(ctx, dut.bus, 20, 0b1)
        assert not await write(ctx, dut.bus, 20, 0xFFFF_FFF0)
        assert await read(ctx, dut.bus, 20) == (0b1_0001, False)
        ctx.set(dut.asked_clear.as_value(), 0b1_0000)
        await ctx.tick()
        assert ctx.get(dut.asked.as_value()) == 0b1
        # A one that the host writes while its bit is lowered stands.
        ctx.set(dut.asked_clear.as_value(), 0b1)
        assert not await write(ctx, dut.bus, 20, 0)
        assert ctx.get(dut.asked.as_value()) == 0
        ctx.set(dut.bus.request, 1)
        ctx.set(dut.bus.write_data, 0b1)
        await ctx.tick()
        ctx.set(dut.bus.request, 0)
        assert ctx.get(dut.asked.as_value()) == 0b1

    run(dut, [host])


def test_write_one_to_clear() -> None:
    dut = RegisterPage(page=PAGE)

    async def pulse(ctx, port, value):
        ctx.set(port, value)
        await ctx.tick()
        ctx.set(port, 0)

    async def host(ctx):
        raise_, lower = dut.events_set.as_value(), dut.events_clear.as_value()
        await pulse(ctx, raise_, 0b111)
        assert await read(ctx, dut.bus, 16) == (0b11, False), "a bit without a field stays 0"
        assert not await write(ctx, dut.bus, 16, 0b01)
        assert await read(ctx, dut.bus, 16) == (0b10, False)
        # A pulse in the cycle of the host's write is not lost.
        ctx.set(raise_, 0b10)
        await write(ctx, dut.bus, 16, 0b11)
        ctx.set(raise_, 0)
        assert await read(ctx, dut.bus, 16) == (0b10, False)
        ctx.set(raise_, 0b01)
        await pulse(ctx, lower, 0b11)
        ctx.set(raise_, 0)
        assert await read(ctx, dut.bus, 16) == (0, False)

    run(dut, [host])


def test_an_offset_without_a_register_is_an_error_of_one_cycle() -> None:
    dut = RegisterPage(page=PAGE)

    async def host(ctx):
        for offset in (24, 0x1000, 0x2000, 0x3FFC):
            assert await read(ctx, dut.bus, offset) == (0, True)
            assert not ctx.get(dut.bus.error)
            assert await write(ctx, dut.bus, offset, 1)
            assert not ctx.get(dut.bus.error)

    run(dut, [host])


def test_a_counter_is_read_as_it_stands() -> None:
    counts = {"level": Count(most=5), "state": Count()}
    dut = RegisterPage(page=PAGE, counts=counts)
    assert dut.counts == counts

    async def host(ctx):
        ctx.set(dut.level_add, 5)
        ctx.set(dut.state_add, 1)
        await ctx.tick().repeat(40)
        # A request in cycle t gives all that was counted up to t.
        assert await read(ctx, dut.bus, 0) == (41 * 5, False)
        assert await read(ctx, dut.bus, 4) == (43, False)
        assert await read(ctx, dut.bus, 8) == (0, False)
        assert await write(ctx, dut.bus, 0, 7)
        ctx.set(dut.state_clear, 1)
        await ctx.tick()
        ctx.set(dut.state_clear, 0)
        assert await read(ctx, dut.bus, 0) == (50 * 5, False)
        assert await read(ctx, dut.bus, 4) == (3, False)
        assert await read(ctx, dut.bus, 24) == (0, True)

    run(dut, [host])
