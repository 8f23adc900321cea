from types import SimpleNamespace
from typing import Any

import pytest
from amaranth.hdl import Cat, Mux

from support.bench import run, stalls, watch
from support.requests import ask, watch_following
from weft.hw.config import MemoryConfig
from weft.hw.memory import PortShare


def share(reads: tuple[bool, ...], *, stages: int = 1, fill_priority: bool = False) -> PortShare:
    memory = MemoryConfig(
        banks=4,
        bank_bits=16,
        rows=8,
        groups=(4, 1),
        crossbar_stages=stages,
        fill_priority=fill_priority,
    )
    return PortShare(memory=memory, reads=reads)


def what_counts(request: Any) -> SimpleNamespace:
    """A stream of requests without the data of reads."""
    given = request.payload
    parts = [given.bank, given.row, given.write, Mux(given.write, given.data, 0)]
    return SimpleNamespace(valid=request.valid, ready=request.ready, payload=Cat(parts))


def exercise(dut: PortShare, count: int, stall: float, seed: int) -> list[int]:
    """Who was served, in order. A read is answered with its own number, counted over all."""
    latency, clients = dut.config.latency, len(dut.reads)
    served: list[int] = []

    def client(number):
        async def testbench(ctx):
            items = [
                {
                    "bank": index % 4,
                    "row": index % 8,
                    "write": not dut.reads[number],
                    "data": number << 8 | index,
                }
                for index in range(count)
            ]
            toss = stalls(stall, (seed, number))
            await ask(ctx, dut.clients[number], dut.config, items, toss)

        return testbench

    async def memory(ctx):
        served.clear()
        tosses, taken = stalls(stall, (seed, "memory")), [0] * clients
        due: dict[int, tuple[int, int]] = {}
        cycle = 0
        while len(served) < clients * count or due:
            ready = not next(tosses)
            ctx.set(dut.memory.req.ready, ready)
            whose, answer = due.pop(cycle, (None, 0))
            ctx.set(dut.memory.rsp, {"valid": whose is not None, "data": answer})
            for number, port in enumerate(dut.clients):
                assert ctx.get(port.rsp.valid) == (number == whose)
                assert number != whose or ctx.get(port.rsp.data) == answer
            ports = [(port.req.valid, port.req.ready) for port in dut.clients]
            _, _, valid, payload, *states = await ctx.tick().sample(
                dut.memory.req.valid,
                dut.memory.req.payload,
                *[signal for port in ports for signal in port],
            )
            granted = [valid and ready for valid, ready in zip(*[iter(states)] * 2, strict=True)]
            assert sum(granted) == (valid and ready)
            assert valid == any(states[0::2])
            if valid and ready:
                number = granted.index(1)
                index = taken[number]  # in order, none lost
                assert (payload.bank, payload.row) == (index % 4, index % 8)
                assert payload.write == (not dut.reads[number])
                assert dut.reads[number] or payload.data == number << 8 | index
                taken[number] += 1
                if dut.reads[number]:
                    due[cycle + latency] = number, len(served)
                served.append(number)
            cycle += 1
        assert taken == [count] * clients

    benches = [client(number) for number in range(clients)]
    watches = [watch(what_counts(dut.memory.req)), watch_following(dut.memory, dut.config)]
    run(dut, [*benches, memory], background=watches, limit=20_000)
    return served


@pytest.mark.parametrize("stall", [0.0, 0.3, 0.9])
@pytest.mark.parametrize(
    ("reads", "stages"),
    [
        ((True, False), 1),
        ((True, True, True, False, False), 2),
        ((True,) * 8, 3),
        ((False,) * 3, 1),
    ],
)
def test_all_get_through_in_order_and_a_request_holds(reads, stages, stall) -> None:
    count = 40 // len(reads)
    served = exercise(share(reads, stages=stages), count, stall, len(reads))
    if stall == 0.0:
        assert served == list(range(len(reads))) * count


def test_one_alone_has_every_cycle() -> None:
    for number in range(3):
        dut = share((True, False, True))

        async def alone(ctx, dut=dut, number=number):
            request = dut.clients[number].req
            ctx.set(request.valid, 1)
            ctx.set(dut.memory.req.ready, 1)
            for _ in range(5):
                _, _, ready = await ctx.tick().sample(request.ready)
                assert ready

        run(dut, [alone])


def test_whoever_is_urgent_hurries_those_before_it() -> None:
    dut = share((True, True), fill_priority=True)

    async def check(ctx):
        first, second = dut.clients
        ctx.set(second.urgent, 1)
        ctx.set(first.req.valid, 1)
        assert not ctx.get(dut.memory.urgent)  # it asks for nothing
        ctx.set(second.req.valid, 1)
        await ctx.tick()
        assert ctx.get(dut.memory.urgent)

    run(dut, [check])
