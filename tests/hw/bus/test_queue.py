import pytest
from amaranth.lib import data
from hypothesis import given, settings
from hypothesis import strategies as st

from support.bench import collect, feed, run, stalls, watch
from weft.hw.bus.queue import Queue

SHAPE = data.StructLayout({"x": 5, "y": 4})


def test_depth_of_zero_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1 payload, not 0"):
        Queue(8, depth=0)


@settings(max_examples=25, deadline=None)
@given(
    depth=st.integers(1, 5),
    items=st.lists(st.integers(0, 511), min_size=1, max_size=40),
    give=st.sampled_from([0.0, 0.3, 0.9]),
    take=st.sampled_from([0.0, 0.3, 0.9]),
    seed=st.integers(0, 1000),
)
def test_order_is_kept(depth: int, items: list[int], give: float, take: float, seed: int) -> None:
    dut = Queue(SHAPE, depth=depth)
    taken = []

    async def source(ctx):
        await feed(ctx, dut.i, [SHAPE.from_bits(item) for item in items], stalls(give, seed))

    async def sink(ctx):
        taken[:] = await collect(ctx, dut.o, len(items), stalls(take, seed + 1))

    run(dut, [source, sink], background=[watch(dut.o)])
    assert [item.as_bits() for item in taken] == items


@pytest.mark.parametrize("depth", [2, 3, 4])
def test_one_payload_a_cycle(depth: int) -> None:
    dut = Queue(8, depth=depth)

    async def source(ctx):
        await feed(ctx, dut.i, range(50))

    async def sink(ctx):
        ctx.set(dut.o.ready, 1)
        await ctx.tick().until(dut.o.valid)
        for value in range(1, 50):
            _, _, valid, payload = await ctx.tick().sample(dut.o.valid, dut.o.payload)
            assert valid
            assert payload == value

    run(dut, [source, sink])
