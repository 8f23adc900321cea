import random

import pytest
from amaranth.back import verilog

from support.bench import run
from weft.hw.agu import ChannelWindows
from weft.hw.config import MoverConfig
from weft.hw.errors import ConfigError
from weft.sim.golden.agu import Window, existing

LARGEST = (1 << 31) - 1
STEEPEST = 1 << 15


def reader(bounds: tuple[int, ...], guards: int = 1) -> MoverConfig:
    return MoverConfig(name="R", kind="read", bind="export", spatial_bounds=bounds, guards=guards)


def check(mover: MoverConfig, rows: list[tuple[Window, ...]]) -> None:
    """Of every row, the channels that exist are those of the definition."""
    dut = ChannelWindows(mover=mover)
    found: list[int] = []

    async def program(ctx):
        found.clear()
        for row in rows:
            ctx.set(dut.values, [window.value for window in row])
            ctx.set(dut.limits, [window.limit for window in row])
            ctx.set(dut.coefficients, [window.coefficient for window in row])
            if len(mover.spatial_bounds) > 1:
                ctx.set(dut.dimensions, [window.dimension for window in row])
            ctx.set(dut.load, 1)
            await ctx.tick()
            found.append(ctx.get(dut.exists))

    run(dut, [program])
    for row, bits in zip(rows, found, strict=True):
        exists = existing(mover.spatial_bounds, row)
        assert bits == sum(there << channel for channel, there in enumerate(exists)), row


@pytest.mark.parametrize("bounds", [(1,), (2,), (64,), (5,), (3, 9), (2, 2, 17)])
def test_windows_at_the_extremes_of_their_numbers(bounds: tuple[int, ...]) -> None:
    """Every border and a step off it, where a bit too few would change a sign."""
    check(
        reader(bounds),
        [
            (Window(value=value, limit=limit, coefficient=coefficient, dimension=dimension),)
            for dimension, bound in enumerate(bounds)
            for coefficient in (STEEPEST - 1, -STEEPEST, 1, -1, 0)
            for limit in (0, 1, 100, LARGEST)
            for border in (0, limit, -LARGEST - 1, LARGEST)
            for index in {0, 1, bound - 1}
            for value in range(border - coefficient * index - 1, border - coefficient * index + 2)
            if -LARGEST - 1 <= value <= LARGEST
        ],
    )


@pytest.mark.parametrize("guards", [2, 4])
@pytest.mark.parametrize("bounds", [(8,), (4, 8), (3, 5, 2)])
def test_a_channel_exists_inside_every_window(bounds: tuple[int, ...], guards: int) -> None:
    toss = random.Random(repr((bounds, guards)))
    rows = [
        tuple(
            Window(
                value=toss.randint(-20, 20),
                limit=toss.randint(10, 40),
                coefficient=toss.randint(-5, 5),
                dimension=toss.randrange(len(bounds)),
            )
            for _ in range(guards)
        )
        for _ in range(300)
    ]
    check(reader(bounds, guards), rows)


def test_it_holds_until_the_next_load() -> None:
    dut = ChannelWindows(mover=reader((4,)))

    async def program(ctx):
        ctx.set(dut.values, [-1])
        ctx.set(dut.limits, [2])
        ctx.set(dut.coefficients, [1])
        ctx.set(dut.load, 1)
        await ctx.tick()
        ctx.set(dut.load, 0)
        ctx.set(dut.limits, [9])
        assert ctx.get(dut.exists) == 0b0110
        await ctx.tick().repeat(2)
        assert ctx.get(dut.exists) == 0b0110

    run(dut, [program])


def test_there_must_be_guards_and_channels() -> None:
    with pytest.raises(ConfigError, match=r"movers\.R\.guards = 0: there must be a guard"):
        ChannelWindows(mover=reader((4,), guards=0))
    with pytest.raises(ConfigError, match=r"movers\.M\.kind = 'mm2s': only a scratchpad mover"):
        ChannelWindows(mover=MoverConfig(name="M", kind="mm2s", bind="Y", guards=1))


@pytest.mark.parametrize("bounds", [(1,), (8,), (4, 8)])
def test_it_becomes_verilog(bounds: tuple[int, ...]) -> None:
    assert "module top" in verilog.convert(ChannelWindows(mover=reader(bounds)))
