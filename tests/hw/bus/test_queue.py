import random

import pytest
from amaranth.lib import data
from hypothesis import given, settings
from hypothesis import strategies as st

from support.bench import collect, feed, run, stalls, watch
from weft.hw.bus.cut import Cut
from weft.hw.bus.passing import PassingQueue
from weft.hw.bus.queue import Queue

SHAPE = data.StructLayout({"x": 5, "y": 4})


def test_depth_of_zero_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1 payload, not 0"):
        Queue(8, depth=0)


@pytest.mark.parametrize("kind", [Queue, PassingQueue])
@settings(max_examples=15, deadline=None)
@given(
    depth=st.integers(1, 5),
    items=st.lists(st.integers(0, 511), min_size=1, max_size=40),
    give=st.sampled_from([0.0, 0.3, 0.9]),
    take=st.sampled_from([0.0, 0.3, 0.9]),
    seed=st.integers(0, 1000),
)
def test_order_is_kept(
    kind: type, depth: int, items: list[int], give: float, take: float, seed: int
) -> None:
    dut = kind(SHAPE, depth=depth)
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


def test_an_only_payload_passes_at_once_and_others_in_their_turn() -> None:
    dut = PassingQueue(8, depth=2)

    async def program(ctx):
        ctx.set(dut.o.ready, 1)
        ctx.set(dut.i.valid, 1)
        for value in (5, 6):
            ctx.set(dut.i.payload, value)
            assert ctx.get(dut.o.valid)
            assert ctx.get(dut.o.payload) == value
            await ctx.tick()
            assert ctx.get(dut.level) == 0
        ctx.set(dut.o.ready, 0)
        for value in (7, 8):
            ctx.set(dut.i.payload, value)
            assert ctx.get(dut.o.payload) == 7
            await ctx.tick()
        assert ctx.get(dut.level) == 2
        assert ctx.get(dut.head) == 7
        assert not ctx.get(dut.i.ready)
        ctx.set(dut.i.payload, 9)
        ctx.set(dut.o.ready, 1)
        await ctx.tick()
        assert ctx.get(dut.o.payload) == 8
        await ctx.tick()
        assert ctx.get(dut.o.payload) == 9

    run(dut, [program])


@pytest.mark.parametrize("both", [False, True])
@settings(max_examples=15, deadline=None)
@given(
    count=st.integers(1, 40),
    give=st.sampled_from([0.0, 0.3, 0.9]),
    take=st.sampled_from([0.0, 0.3, 0.9]),
    seed=st.integers(0, 1000),
)
def test_a_cut_keeps_order_and_bandwidth(
    both: bool, count: int, give: float, take: float, seed: int
) -> None:
    dut = Cut(SHAPE, both=both)
    items = [SHAPE.from_bits(random.Random(seed).getrandbits(9)) for _ in range(count)]
    taken, cycles = [], [0]

    async def source(ctx):
        await feed(ctx, dut.i, items, stalls(give, seed))

    async def sink(ctx):
        taken[:] = await collect(ctx, dut.o, count, stalls(take, seed + 1))

    async def clock(ctx):
        async for _ in ctx.tick():
            cycles[0] += len(taken) != count

    run(dut, [source, sink], background=[watch(dut.o), clock])
    assert taken == items
    if give == take == 0:
        assert cycles[0] <= count + 1


def test_a_cut_both_ways_is_ready_until_its_second_place_is_taken() -> None:
    dut = Cut(8, both=True)

    async def bench(ctx):
        ctx.set(dut.i.valid, 1)
        ready = []
        for cycle in range(8):
            ctx.set(dut.o.ready, cycle == 4)
            before = ctx.get(dut.i.ready)
            ctx.set(dut.o.ready, cycle != 4)
            assert ctx.get(dut.i.ready) == before  # of what is taken now it knows nothing
            ctx.set(dut.o.ready, cycle == 4)
            ready.append(before)
            await ctx.tick()
        assert ready == [1, 1, 0, 0, 0, 1, 0, 0]

    run(dut, [bench])
