"""Guards of a scratchpad mover, from the driver's words to the words in the banks."""

import random
from collections import Counter, defaultdict
from dataclasses import replace

import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring

from support.bench import collect, feed, run, stalls, watch
from support.movers import CoreHost, PortModel, encode
from support.pages import named_config
from support.streamers import Streamers, random_task, sweep
from weft.hw.bus.fault import FaultCode
from weft.hw.bus.wires import adopt
from weft.hw.config import AcceleratorConfig, MemoryConfig, MoverConfig
from weft.sim.golden.memory import Words
from weft.sim.golden.mover import Bd
from weft.sim.golden.mover import Task as Push
from weft.sim.golden.streamer import Task, faulty, touched
from weft.sw.descriptor import BufferDescriptor, Guard
from weft.sw.errors import DescriptorError

TINY = named_config("tiny")
GUARDED = replace(
    TINY,
    movers=tuple(replace(m, guards=2) if m.is_scratchpad else m for m in TINY.movers),
)


def single(base: int = 64) -> Bd:
    return Bd(base=base, bounds=(1,) * 3, strides=(0,) * 3)


def test_a_guarded_bd_travels_whole() -> None:
    host = CoreHost(GUARDED, "D")
    row, rows = host.core.port.rows.payload, host.core.port.rows
    edges = (-(1 << 31), (1 << 31) - 1)
    guards = [
        {"offset": -5, "limit": 77, "coefficient": -(1 << 15), "dimension": 1},
        {"offset": edges[1], "limit": edges[1], "coefficient": (1 << 15) - 1, "dimension": 0},
    ]
    guards[0]["deltas"], guards[1]["deltas"] = [2, 0, 0], [edges[0], 0, 0]
    bd = Bd(base=-8, bounds=(2, 1, 1), strides=(16, 0, 0))

    async def program(ctx):
        await host.store(ctx, 3, encode(host.core.descriptor, bd, guards=guards, pad=0xEE))
        await host.push(ctx, Push(descriptor=3))
        await ctx.tick().until(rows.valid)
        for step in range(2):
            payload = ctx.get(row)
            # As wide as an address and a sign on both sides of it.
            assert payload.address == (-8 + 16 * step) % (4 * GUARDED.memory.bytes)
            assert [payload.guards[i] for i in range(2)] == [-5 + 2 * step, edges[1] - step * 2**31]
            settings = payload.settings
            assert settings.pad == 0xEE
            assert [settings.limits[i] for i in range(2)] == [77, edges[1]]
            assert [settings.coefficients[i] for i in range(2)] == [-(1 << 15), (1 << 15) - 1]
            assert [settings.dimensions[i] for i in range(2)] == [1, 0]
            ctx.set(rows.ready, 1)
            await ctx.tick()

    run(host.core, [program])


def test_what_a_guarded_mover_refuses() -> None:
    host = CoreHost(GUARDED, "D")
    port = PortModel(host.core)
    window = {"limit": 1}
    edge = 2 * GUARDED.memory.bytes
    cases = [
        (FaultCode.FIELD_RANGE, {"guards": [window | {"dimension": 2}, window]}),
        (FaultCode.FIELD_RANGE, {"guards": [window, window | {"dimension": 3}]}),
        (FaultCode.NONE, {"guards": [window | {"dimension": 1}, window]}),
        (FaultCode.FIELD_RANGE, {"base": edge}),
        (FaultCode.FIELD_RANGE, {"base": -edge - 1}),
        (FaultCode.NONE, {"base": edge - 1}),
        (FaultCode.NONE, {"base": -edge}),
    ]

    async def program(ctx):
        for number, (code, fields) in enumerate(cases, start=1):
            await host.store(ctx, 0, encode(host.core.descriptor, single(), **fields))
            await host.push(ctx, Push(descriptor=0))
            await host.settled(ctx, number)
            assert (await host.fields(ctx, "ERROR"))["code"] == code, fields
            await host.put(ctx, "CONTROL", clear_error=1)

    run(host.core, [program], background=[port.serve])


def system(kind: str) -> AcceleratorConfig:
    mover = MoverConfig(
        name="M", kind=kind, bind="export", spatial_bounds=(2, 2), loops=3, guards=2
    )
    memory = MemoryConfig(banks=8, bank_bits=16, rows=8, groups=(8, 4, 1))
    return AcceleratorConfig(name="test", memory=memory, movers=(mover,))


class WholeMover(Streamers):
    """A mover of one kind, core and all, on a scratchpad."""

    def __init__(self, kind: str) -> None:
        super().__init__(system(kind))
        self.host = CoreHost(self.config, "M")
        self.port = self.ports["M"]
        adopt(self.port, "core", wiring.flipped(self.host.core.port))

    def elaborate(self, platform: object) -> Module:
        m = super().elaborate(platform)
        m.submodules.core = self.host.core
        return m

    async def execute(self, ctx, tasks: list[Task]) -> None:
        """All `tasks` in turn, each as the driver puts it into words."""
        host, spec = self.host, self.host.core.descriptor
        for number, task in enumerate(tasks):
            words = as_descriptor(task).encode(spec)
            slots = self.config.movers[0].descriptors
            slot = number % slots
            # A slot may be rewritten when what it held has retired.
            while await host.value(ctx, "RETIRED") <= number - slots:
                pass
            await host.store(ctx, slot, sum(word << 32 * i for i, word in enumerate(words)))
            await host.push(ctx, Push(descriptor=slot))
        await host.settled(ctx, len(tasks))
        assert (await host.fields(ctx, "ERROR"))["code"] == FaultCode.NONE


def as_descriptor(task: Task) -> BufferDescriptor:
    return BufferDescriptor(
        base=task.base,
        bounds=task.bounds,
        strides=task.strides,
        mark_level=task.mark_level,
        mode=task.mode,
        pad=task.pad,
        spatial_strides=task.spatial_strides,
        guards=tuple(
            Guard(
                offset=guard.offset,
                limit=guard.limit,
                strides=guard.strides,
                coefficient=guard.coefficient,
                dimension=guard.dimension,
            )
            for guard in task.guards
        ),
    )


def legal_tasks(dut: WholeMover, count: int, toss: random.Random) -> list[Task]:
    """Random ones without a fault; the driver refuses just those with one."""
    mover, memory = dut.config.movers[0], dut.config.memory
    tasks: list[Task] = []
    while len(tasks) < count:
        task = random_task(memory, mover, toss)
        if any(faulty(memory, mover.spatial_bounds, mover.reach, task)):
            with pytest.raises(DescriptorError):
                as_descriptor(task).encode(dut.host.core.descriptor)
        else:
            tasks.append(task)
    return tasks


def places(dut: WholeMover, tasks: list[Task]) -> list[list[tuple[int, int] | None]]:
    bounds = dut.config.movers[0].spatial_bounds
    return [row for task in tasks for row in touched(dut.config.memory, bounds, 0, task)]


@pytest.mark.parametrize(("seed", "stall"), [(0, 0.0), (1, 0.5), (2, 0.9)])
def test_what_a_descriptor_reads(seed: int, stall: float) -> None:
    toss = random.Random(seed)
    dut = WholeMover("read")
    tasks, port = legal_tasks(dut, 8, toss), dut.port
    before = [toss.getrandbits(16) for _ in range(64)]
    rows = places(dut, tasks)
    pads = [task.pad * 0x0101 for task in tasks for _ in task.addresses]
    beats: list = []

    async def program(ctx):
        await sweep(ctx, dut.spare[0], dut.config.memory, before)
        await dut.execute(ctx, tasks)

    async def sink(ctx):
        beats[:] = await collect(ctx, port.o, len(rows), stalls(stall, seed))

    run(dut, [program, sink], background=[watch(port.o)], limit=20_000)
    assert [[beat.data >> 16 * c & 0xFFFF for c in range(4)] for beat in beats] == [
        [pad if place is None else before[place[0] * 8 + place[1]] for place in row]
        for row, pad in zip(rows, pads, strict=True)
    ]
    assert not any(beat.error for beat in beats)
    assert sum(None in row for row in rows) > len(rows) // 4, "hardly anything was padded"


@pytest.mark.parametrize(("seed", "stall"), [(0, 0.0), (1, 0.5), (2, 0.9)])
def test_what_a_descriptor_writes(seed: int, stall: float) -> None:
    toss = random.Random(seed)
    dut = WholeMover("write")
    memory, port, tasks = dut.config.memory, dut.port, legal_tasks(dut, 8, toss)
    before = [toss.getrandbits(16) for _ in range(64)]
    rows = places(dut, tasks)
    given = [[toss.getrandbits(16) for _ in range(4)] for _ in rows]
    accesses: Counter = Counter()
    after: list = []

    async def program(ctx):
        await sweep(ctx, dut.spare[0], memory, before)
        await dut.execute(ctx, tasks)
        after[:] = await sweep(ctx, dut.spare[0], memory, None)
        accesses["counted"] = await dut.host.value(ctx, "ACCESSES")

    async def source(ctx):
        beats = [{"data": sum(word << 16 * c for c, word in enumerate(row))} for row in given]
        await feed(ctx, port.i, beats, stalls(stall, seed))

    run(dut, [program, source], limit=20_000)
    words, writers = Words(memory), defaultdict(set)
    for index, value in enumerate(before):
        words.write(*divmod(index, memory.rows), value, -1)
    for row, data in zip(rows, given, strict=True):
        for channel, place in enumerate(row):
            if place is not None:
                words.write(*place, data[channel], 3)
                writers[place].add(channel)
    for index, value in enumerate(after):
        place = divmod(index, memory.rows)
        # Channels run ahead of each other: which of two is the last to write is not said.
        assert len(writers[place]) > 1 or value == words.read(*place), place
    assert accesses["counted"] == sum(place is not None for row in rows for place in row)
    assert sum(None in row for row in rows) > len(rows) // 4, "hardly anything was padded"
