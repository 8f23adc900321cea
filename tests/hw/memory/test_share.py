from itertools import pairwise

import pytest

from support.bench import collect, feed, run, stalls, watch
from weft.hw.config import MemoryConfig
from weft.hw.memory import PortShare

MEMORY = MemoryConfig(banks=4, bank_bits=16, rows=8, groups=(4, 1))


def requests(write: bool, count: int) -> list[dict[str, int]]:
    return [
        {"bank": number % 4, "row": number % 8, "write": write, "data": number}
        for number in range(count)
    ]


@pytest.mark.parametrize("stall", [0.0, 0.3, 0.9])
@pytest.mark.parametrize("seed", range(3))
def test_both_get_through_in_order_and_a_request_holds(stall: float, seed: int) -> None:
    dut = PortShare(memory=MEMORY)
    count = 40
    taken = []

    async def reader(ctx):
        await feed(ctx, dut.reader.req, requests(False, count), stalls(stall, (seed, "r")))

    async def writer(ctx):
        await feed(ctx, dut.writer.req, requests(True, count), stalls(stall, (seed, "w")))

    async def memory(ctx):
        taken[:] = await collect(ctx, dut.memory.req, 2 * count, stalls(stall, (seed, "m")))

    run(dut, [reader, writer, memory], background=[watch(dut.memory.req)])
    for write in (0, 1):
        assert [request.data for request in taken if request.write == write] == list(range(count))
    if stall == 0.0:
        assert all(a.write != b.write for a, b in pairwise(taken))


def test_one_alone_has_every_cycle() -> None:
    for name in ("reader", "writer"):
        dut = PortShare(memory=MEMORY)

        async def alone(ctx, dut=dut, name=name):
            request = getattr(dut, name).req
            ctx.set(request.valid, 1)
            ctx.set(dut.memory.req.ready, 1)
            for _ in range(5):
                _, _, ready = await ctx.tick().sample(request.ready)
                assert ready

        run(dut, [alone])


def test_responses_are_the_readers() -> None:
    dut = PortShare(memory=MEMORY)

    async def check(ctx):
        ctx.set(dut.memory.rsp, {"valid": 1, "data": 77})
        assert ctx.get(dut.reader.rsp.valid)
        assert ctx.get(dut.reader.rsp.data) == 77
        assert not ctx.get(dut.writer.rsp.valid)

    run(dut, [check])
