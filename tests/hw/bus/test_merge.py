import pytest
from amaranth.hdl import Module, Signal

from support.bench import collect, feed, run, stalls
from weft.hw.bus.merge import Merge


@pytest.mark.parametrize("stall", [0.0, 0.5, 0.9])
def test_everything_comes_out_in_its_order_and_the_first_never_waits_for_the_second(
    stall: float,
) -> None:
    dut = Merge(8)
    assert dut.shape == 8
    taken: list[int] = []
    top = Module()
    top.submodules.dut = dut
    top.d.sync += Signal().eq(0)  # a clock for the bench
    first, second = range(20), range(100, 120)

    async def one(ctx):
        await feed(ctx, dut.first, first, stalls(stall, 1))

    async def two(ctx):
        await feed(ctx, dut.second, second, stalls(stall, 2))

    async def out(ctx):
        taken[:] = await collect(ctx, dut.o, 40, stalls(stall, 3))

    async def watch(ctx):
        async for _, _, wanted, ready, granted in ctx.tick().sample(
            dut.first.valid, dut.o.ready, dut.first.ready
        ):
            assert not wanted or ready == granted

    run(top, [one, two, out], background=[watch])
    assert [value for value in taken if value < 100] == list(first)
    assert [value for value in taken if value >= 100] == list(second)
