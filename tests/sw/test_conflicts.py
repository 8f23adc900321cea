"""The model of the scratchpad's traffic counts what the hardware counts, cycle by cycle."""

import math
import random
from dataclasses import replace
from typing import Any

import pytest

from support.bench import run
from support.streamers import Streamers, feed_rows
from weft.hw.config import AcceleratorConfig, MemoryConfig, MoverConfig
from weft.sim.golden.streamer import Guard as GoldenGuard
from weft.sim.golden.streamer import Task
from weft.sw.conflicts import Stream, predict
from weft.sw.descriptor import BufferDescriptor
from weft.sw.guard import Guard
from weft.sw.operators import repeater
from weft.sw.repeat import replay_of

CYCLES = 120


def random_system(toss: random.Random) -> AcceleratorConfig:
    """Readers and writers of all kinds before eight banks."""

    def pair(first: str, second: str, **options: Any) -> list[MoverConfig]:
        shared = toss.random() < 0.5
        depths = {"address_depth": toss.choice([2, 4]), "data_depth": toss.choice([2, 4, 5])}
        prefetch = toss.random() < 0.7
        both = {"bind": "export", "prefetch": prefetch, **depths, **options}
        repeats = {"extensions": ("repeater",), "replay_depth": toss.choice([1, 2, 8])}
        return [
            MoverConfig(
                name=name, kind=kind, shares_ports_with=partner if shared else "", **both, **more
            )
            for name, kind, partner, more in (
                (first, "read", second, repeats),
                (second, "write", first, {}),
            )
        ]

    return AcceleratorConfig(
        name="crowd",
        memory=MemoryConfig(
            banks=8,
            bank_bits=16,
            rows=16,
            groups=(8, 4, 2),
            crossbar_stages=toss.randint(1, 3),
            aging=toss.randint(1, 5),
            fill_priority=True,
            bank_counters=True,
        ),
        movers=(
            *pair("X", "Y", spatial_bounds=(2, 2), guards=1, high_priority=toss.random() < 0.5),
            *pair("P", "Q", spatial_bounds=(4,), reach=2, ports=toss.choice([0, 1, 2])),
        ),
    )


def random_stream(config: AcceleratorConfig, mover: MoverConfig, toss: random.Random) -> Stream:
    memory = config.memory
    step = max(mover.reach, 1)
    spatial = [1, 2, 4] if mover.reach else [toss.choice([0, 1, 2, 4]) for _ in range(2)]
    bounds = tuple(toss.randint(1, 6) for _ in range(3))
    strides = [step * toss.choice([0, 1, 2, 3]) for _ in bounds]
    extents = [
        *zip(bounds, strides, strict=True),
        *zip(mover.spatial_bounds, spatial, strict=False),
    ]
    span = sum((bound - 1) * stride for bound, stride in extents)
    slack = memory.banks * memory.rows - 1 - span
    guards = tuple(
        Guard(
            offset=toss.randint(-2, 2),
            limit=toss.choice([3, 100]),
            strides=tuple(toss.randint(-1, 1) for _ in bounds),
            coefficient=toss.choice([0, 1]),
            dimension=toss.randrange(len(mover.spatial_bounds)),
        )
        for _ in range(mover.guards)
    )
    walk = BufferDescriptor(
        base=toss.randrange(0, slack + 1, step) * memory.word_bytes,
        bounds=bounds,
        strides=tuple(stride * memory.word_bytes for stride in strides),
        spatial_strides=tuple(s * memory.word_bytes for s in spatial[: len(mover.spatial_bounds)]),
        mode=toss.randrange(len(memory.groups)),
        guards=guards,
    )
    if mover.extensions and toss.random() < 0.6:
        whole = [n for n in range(1, mover.replay_depth + 1) if math.prod(bounds) % n == 0]
        parameter = repeater(toss.randint(1, 4), length=toss.choice(whole))
        walk = replace(walk, extensions=("repeater",), parameters={"repeater": parameter})
    return Stream(mover=mover.name, walk=walk, interval=toss.choice([1, 1, 2, 5]))


def as_task(walk: BufferDescriptor) -> Task:
    names = ("offset", "limit", "strides", "coefficient", "dimension")
    return Task(
        base=walk.base,
        bounds=walk.bounds,
        strides=walk.strides,
        spatial_strides=walk.spatial_strides,
        mode=walk.mode,
        guards=tuple(GoldenGuard(**{n: getattr(guard, n) for n in names}) for guard in walk.guards),
    )


def measure(
    config: AcceleratorConfig, streams: list[Stream], fill_priority: bool
) -> tuple[dict[str, int], tuple[int, ...], dict[str, int]]:
    """What the hardware counts in the cycles from the first rows in the channels' FIFOs."""
    dut = Streamers(config, spare=0, extended=True)
    lost: dict[str, int] = {}
    beats: dict[str, int] = {}
    measured: dict[str, int] = {}
    banks: list[int] = []

    def rows(stream):
        async def testbench(ctx):
            ctx.set(dut.scratchpad.fill_priority, fill_priority)
            if config.mover(stream.mover).extensions:
                parameter = stream.walk.parameters.get("repeater", 0)
                setting = dut.ports[stream.mover].extension_repeater
                enable = int("repeater" in stream.walk.extensions)
                ctx.set(setting.payload, {"enable": enable, "parameter": parameter})
                ctx.set(setting.valid, 1)
            await feed_rows(ctx, dut.ports[stream.mover], [as_task(stream.walk)])

        return testbench

    def mover(stream):
        port, name = dut.ports[stream.mover], stream.mover
        count = math.prod(stream.walk.bounds) * replay_of(stream.walk)[1]
        requests = [s for wires in port.memory for s in (wires.req.valid, wires.req.ready)]

        async def testbench(ctx):
            lost[name] = beats[name] = wait = 0
            reads = hasattr(port, "o")
            data = port.o if reads else port.i
            await ctx.tick().repeat(1)
            cycle = 0
            while cycle < CYCLES or beats[name] < count:
                goes = wait == 0 and (reads or beats[name] < count)
                ctx.set(data.ready if reads else data.valid, goes)
                there = data.valid if reads else data.ready
                _, _, there, *seen = await ctx.tick().sample(there, *requests)
                moved = bool(goes and there)
                beats[name] += moved
                wait = stream.interval - 1 if moved else max(wait - 1, 0)
                if cycle < CYCLES:
                    lost[name] += any(v and not r for v, r in zip(*[iter(seen)] * 2, strict=True))
                    measured[name] = beats[name]
                cycle += 1

        return testbench

    async def counters(ctx):
        await ctx.tick().repeat(1 + CYCLES + 1)
        banks[:] = [ctx.get(count) for count in dut.scratchpad.bank_conflicts]

    run(dut, [counters, *[bench(s) for s in streams for bench in (rows, mover)]])
    return lost, tuple(banks), measured


@pytest.mark.parametrize(
    "seed", [*range(2), *[pytest.param(s, marks=pytest.mark.soak) for s in range(2, 60)]]
)
def test_the_model_counts_what_the_hardware_counts(seed: int) -> None:
    toss = random.Random(seed)
    config = random_system(toss)
    streams = [random_stream(config, mover, toss) for mover in config.movers if toss.random() < 0.9]
    fill_priority = toss.random() < 0.5
    predicted = predict(config, streams, cycles=CYCLES, fill_priority=fill_priority)
    lost, banks, beats = measure(config, streams, fill_priority)
    assert predicted.movers == lost
    assert predicted.beats == beats
    assert predicted.banks == banks
