import pytest
from amaranth.back import verilog

from support.bench import run
from support.pages import named_config, read, write
from weft.hw.bus import SystemControl
from weft.hw.bus.fault import FaultCode
from weft.hw.bus.registers import IDENTITY, LOCK_FAULT_BIT, SEQUENCER_BIT, system_page
from weft.hw.config import AcceleratorConfig, MoverConfig
from weft.hw.errors import ConfigError

CONFIG = named_config("tiny")
PAGE = system_page(CONFIG)


def control() -> SystemControl:
    return SystemControl(config=CONFIG, version=(1, 2, 3))


def offset(name: str) -> int:
    return PAGE.register(name).offset


async def value(ctx, dut: SystemControl, name: str) -> int:
    word, error = await read(ctx, dut.registers, offset(name))
    assert not error
    return word


async def put(ctx, dut: SystemControl, name: str, **fields: int) -> None:
    word = PAGE.register(name).pack(**fields)
    assert not await write(ctx, dut.registers, offset(name), word)


async def pulse(ctx, signal, bits: int = 1) -> None:
    ctx.set(signal, bits)
    await ctx.tick()
    ctx.set(signal, 0)


@pytest.mark.parametrize("version", [(0, 256, 0), (-1, 0, 0), (1, 2)])
def test_an_impossible_version_is_refused(version: tuple[int, int, int]) -> None:
    with pytest.raises(ConfigError, match=r"version = .*three numbers from 0 to 255"):
        SystemControl(config=CONFIG, version=version)


def test_identity() -> None:
    dut = control()
    assert (dut.config, dut.version) == (CONFIG, (1, 2, 3))

    async def host(ctx):
        assert await value(ctx, dut, "IDENTITY") == IDENTITY
        assert await value(ctx, dut, "VERSION") == 0x010203
        assert await value(ctx, dut, "CONFIG_HASH") == int(CONFIG.hash[:8], 16)
        assert PAGE.register("CAPABILITIES").unpack(await value(ctx, dut, "CAPABILITIES")) == {
            "movers": len(CONFIG.movers),
            "array": 1,
            "dma": 1,
            "sequencer": 1,
        }
        ctx.set(dut.array_steps, 77)
        assert await value(ctx, dut, "ARRAY_STEPS") == 77

    run(dut, [host])


def test_without_an_array_there_are_no_array_counters() -> None:
    reader = MoverConfig(name="R", kind="read", bind="export", spatial_bounds=(4,))
    dut = SystemControl(config=AcceleratorConfig(name="bare", movers=(reader,)), version=(0, 0, 0))
    assert not hasattr(dut, "array_active")

    async def host(ctx):
        word, _ = await read(ctx, dut.registers, offset("CAPABILITIES"))
        assert word == 1

    run(dut, [host])


def test_interrupts_follow_their_masks() -> None:
    dut = control()

    async def host(ctx):
        await pulse(ctx, dut.done, 0b101)
        await pulse(ctx, dut.refused, 0b010)
        await ctx.tick().repeat(3)
        assert not ctx.get(dut.irq), "everything is masked at first"
        assert await value(ctx, dut, "IRQ_DONE") == 0b101
        assert await value(ctx, dut, "IRQ_FAULT") == 0b010
        await write(ctx, dut.registers, offset("IRQ_DONE_MASK"), 0b100)
        await ctx.tick()
        assert ctx.get(dut.irq)
        await write(ctx, dut.registers, offset("IRQ_DONE"), 0b100)
        await ctx.tick()
        assert not ctx.get(dut.irq)
        assert await value(ctx, dut, "IRQ_DONE") == 0b001
        await write(ctx, dut.registers, offset("IRQ_FAULT_MASK"), 0xFFFFFFFF)
        await ctx.tick()
        assert ctx.get(dut.irq)
        movers = (1 << len(CONFIG.movers)) - 1
        others = 1 << LOCK_FAULT_BIT | 1 << SEQUENCER_BIT
        assert await value(ctx, dut, "IRQ_FAULT_MASK") == movers | others
        # From a pulse to the interrupt: one cycle to the register, one to the pin.
        await write(ctx, dut.registers, offset("IRQ_FAULT"), 0b010)
        await pulse(ctx, dut.faulted, 0b001)
        assert not ctx.get(dut.irq)
        await ctx.tick()
        assert ctx.get(dut.irq)

    run(dut, [host])


def test_the_first_error_is_kept_and_the_lowest_index_wins() -> None:
    dut = control()

    async def host(ctx):
        assert await value(ctx, dut, "FIRST_ERROR") == 0
        await pulse(ctx, dut.refused, 0b1)
        assert await value(ctx, dut, "FIRST_ERROR") == 0, "a refusal is no mover fault"
        for index in range(len(CONFIG.movers)):
            ctx.set(dut.fault_code[index], index + 1)
            ctx.set(dut.fault_descriptor[index], 10 + index)
        await pulse(ctx, dut.faulted, 0b1100)
        await pulse(ctx, dut.faulted, 0b0001)
        assert PAGE.register("FIRST_ERROR").unpack(await value(ctx, dut, "FIRST_ERROR")) == {
            "valid": 1,
            "mover": 2,
            "code": 3,
            "descriptor": 12,
        }

    run(dut, [host])


def test_a_failed_source_takes_the_place_of_its_sinks() -> None:
    dut = control()

    async def host(ctx):
        for index, code in enumerate((FaultCode.UPSTREAM, FaultCode.UPSTREAM, FaultCode.REACH)):
            ctx.set(dut.fault_code[index], code)
        for pulses, mover in ((0b010, 1), (0b001, 1), (0b101, 2), (0b011, 2)):
            await pulse(ctx, dut.faulted, pulses)
            record = PAGE.register("FIRST_ERROR").unpack(await value(ctx, dut, "FIRST_ERROR"))
            assert record["mover"] == mover

    run(dut, [host])


def test_a_fault_of_the_locks_is_recorded_as_theirs() -> None:
    dut = control()

    async def host(ctx):
        ctx.set(dut.lock_fault, {"client": 8, "code": FaultCode.LOCK_OVERFLOW, "lock": 5})
        ctx.set(dut.lock_fault.valid, 1)
        await ctx.tick()
        ctx.set(dut.lock_fault.valid, 0)
        assert await value(ctx, dut, "IRQ_FAULT") == 1 << LOCK_FAULT_BIT
        assert PAGE.register("FIRST_ERROR").unpack(await value(ctx, dut, "FIRST_ERROR")) == {
            "valid": 1,
            "mover": 8,
            "code": FaultCode.LOCK_OVERFLOW,
            "descriptor": 5,
        }

    run(dut, [host])


def test_time_and_span() -> None:
    dut = control()

    async def host(ctx):
        start = await value(ctx, dut, "CYCLES")
        await ctx.tick().repeat(8)
        assert await value(ctx, dut, "CYCLES") == start + 10
        await put(ctx, dut, "CONTROL", clear_counters=1)  # cleared two cycles after the request
        await ctx.tick().repeat(5)
        for signal in (dut.issued, dut.issued, dut.written, dut.written):
            await pulse(ctx, signal)
        assert await value(ctx, dut, "SPAN_FIRST") == 5
        assert await value(ctx, dut, "SPAN_LAST") == 8

    pulses = []

    async def monitor(ctx):
        pulses.clear()
        async for _, _, clear, reset in ctx.tick().sample(dut.clear_counters, dut.reset):
            assert not reset
            pulses.append(clear)

    run(dut, [host], background=[monitor])
    assert sum(pulses) == 1


def test_soft_reset_waits_for_the_bus() -> None:
    dut = control()
    resets = []

    async def monitor(ctx):
        resets.clear()
        cycle = 0
        async for _, _, reset, drain in ctx.tick().sample(dut.reset, dut.drain):
            assert drain or not reset
            if reset:
                resets.append(cycle)
            cycle += 1

    async def host(ctx):
        await write(ctx, dut.registers, offset("IRQ_DONE_MASK"), 0b11)
        await pulse(ctx, dut.done, 0b1)
        await pulse(ctx, dut.faulted, 0b1)
        await put(ctx, dut, "CONTROL", reset=1)
        for _ in range(10):
            assert ctx.get(dut.drain)
            assert await value(ctx, dut, "STATUS") == 1
        assert not resets
        # Three idle cycles are not enough, four are.
        ctx.set(dut.bus_idle, 1)
        await ctx.tick().repeat(3)
        ctx.set(dut.bus_idle, 0)
        await ctx.tick().repeat(5)
        assert not resets
        ctx.set(dut.bus_idle, 1)
        await ctx.tick().repeat(4)
        assert ctx.get(dut.reset)
        ctx.set(dut.done, 0b1)  # of a mover that is being reset
        await ctx.tick()
        ctx.set(dut.done, 0)
        assert not ctx.get(dut.reset)
        assert not ctx.get(dut.drain)
        assert await value(ctx, dut, "CYCLES") == 0
        assert await value(ctx, dut, "STATUS") == 0
        for name in ("FIRST_ERROR", "IRQ_DONE", "IRQ_FAULT"):
            assert await value(ctx, dut, name) == 0
        assert await value(ctx, dut, "IRQ_DONE_MASK") == 0b11
        assert not ctx.get(dut.irq)

    run(dut, [host], background=[monitor])
    assert len(resets) == 1


def test_verilog() -> None:
    assert "module control" in verilog.convert(control(), name="control")
