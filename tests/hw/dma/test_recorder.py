"""The recorder: every record once and whole, at its place, and its answer to whoever asked."""

import random
from typing import Any

import pytest

from support.axi_slave import AxiSlave
from support.bench import run, stalls, watch
from weft.hw.bus.axi import Response
from weft.hw.config import RECORD_BYTES, DmaConfig
from weft.hw.dma.recorder import Recorder

RECORDS = 8
"""Of each client."""


@pytest.mark.parametrize("data_bits", [32, 64, 256, 512])
@pytest.mark.parametrize(("clients", "stall"), [(1, 0.0), (3, 0.4), (8, 0.9)])
def test_records_of_several_clients(data_bits: int, clients: int, stall: float) -> None:
    dma = DmaConfig(data_bits=data_bits)
    dut = Recorder(dma=dma, clients=clients)
    toss = random.Random(repr((data_bits, clients)))
    places = toss.sample(range(1000), clients * RECORDS)
    contents = {place: toss.getrandbits(8 * RECORD_BYTES) for place in places}
    bad = {place: toss.choice([Response.SLVERR, Response.DECERR]) for place in places[::7]}
    width = dma.data_bytes
    errors = {place * RECORD_BYTES // width * width: code for place, code in bad.items()}
    # Records that share a wide beat share its fate.
    expected = {p: errors.get(p * RECORD_BYTES // width * width, Response.OKAY) for p in places}
    slave = AxiSlave(
        width=width,
        cap=max(1, RECORD_BYTES // width),
        limit=clients,
        latency=(0, 40),
        stall=stall,
        errors=errors,
    )

    def client(number: int) -> Any:
        async def testbench(ctx: Any) -> None:
            port, pause = dut.clients[number], stalls(stall / 2, number)
            for place in places[number::clients]:
                while next(pause):
                    await ctx.tick()
                ctx.set(port.request.payload, {"place": place, "record": contents[place]})
                ctx.set(port.request.valid, 1)
                await ctx.tick().until(port.request.ready)
                ctx.set(port.request.valid, 0)
                (resp,) = await ctx.tick().sample(port.answer.resp).until(port.answer.valid)
                assert resp == expected[place]
                stored = (slave.memory[place * RECORD_BYTES + k] for k in range(RECORD_BYTES))
                assert int.from_bytes(bytes(stored), "little") == contents[place]

        return testbench

    async def serve(ctx: Any) -> None:
        await slave.writer(ctx, dut)

    async def quiet(ctx: Any) -> None:
        """Nobody but the owner is answered, and idle means that nothing is under way."""
        async for _, _, raised, beats, idle, *answers in ctx.tick().sample(
            dut.aw.valid, dut.w.valid, dut.idle, *(port.answer.valid for port in dut.clients)
        ):
            assert sum(answers) <= 1
            assert not (idle and (raised or beats or any(answers)))

    run(
        dut,
        [client(number) for number in range(clients)],
        background=[serve, quiet, watch(dut.aw, "aw"), watch(dut.w, "w")],
        limit=20_000,
    )
    touched = {place * RECORD_BYTES + k for place in places for k in range(RECORD_BYTES)}
    assert set(slave.memory) <= touched


@pytest.mark.parametrize("stall", [0.0, 0.6])
def test_a_drain_begins_nothing_and_ends_what_has_begun(stall: float) -> None:
    dut = Recorder(dma=DmaConfig(data_bits=64), clients=2)
    slave = AxiSlave(width=8, cap=4, limit=2, latency=(0, 9), stall=stall)

    async def serve(ctx: Any) -> None:
        await slave.writer(ctx, dut)

    async def drain(ctx: Any) -> None:
        for place, port in enumerate(dut.clients):
            ctx.set(port.request.payload, {"place": place, "record": 1})
            ctx.set(port.request.valid, 1)
        await ctx.tick().repeat(3)
        assert not ctx.get(dut.idle)
        ctx.set(dut.drain, 1)
        await ctx.tick().until(dut.idle)
        await ctx.tick().repeat(50)
        assert ctx.get(dut.idle)
        assert slave.writes == [(0, 4)]
        ctx.set(dut.drain, 0)
        await ctx.tick().until(dut.clients[1].answer.valid)
        assert slave.writes[1] == (32, 4)

    run(dut, [drain], background=[serve])
