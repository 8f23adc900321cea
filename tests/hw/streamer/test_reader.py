import random
from collections import Counter

import numpy as np
import pytest
from amaranth.back import verilog
from hypothesis import given, settings
from hypothesis import strategies as st

from support.bench import collect, run, stalls, watch
from support.requests import watch_following
from support.streamers import (
    Streamers,
    feed_rows,
    random_task,
    rival,
    sweep,
    wide_requests,
)
from weft.hw.bus.fault import FaultCode
from weft.hw.config import AcceleratorConfig, MemoryConfig, MoverConfig
from weft.hw.errors import ConfigError
from weft.hw.streamer import ReadPort
from weft.sim.golden.memory import Words
from weft.sim.golden.streamer import Guard, Task, faulty, touched

STREAM = Task(base=0, bounds=(2, 4, 2), strides=(8, 16, 64), spatial_strides=(2, 4))
"""Beats of four words side by side: no bank is asked twice."""


def system(
    *,
    stages=1,
    reach=0,
    address_depth=4,
    data_depth=4,
    high_priority=True,
    guards=0,
    bounds=(2, 2),
    enable=False,
    prefetch=True,
) -> AcceleratorConfig:
    return AcceleratorConfig(
        name="test",
        memory=MemoryConfig(
            banks=8, bank_bits=16, rows=8, groups=(8, 4, 1), crossbar_stages=stages, aging=4
        ),
        movers=(
            MoverConfig(
                name="R",
                kind="read",
                bind="export",
                spatial_bounds=bounds,
                loops=3,
                guards=guards,
                channel_enable=enable,
                reach=reach,
                address_depth=address_depth,
                data_depth=data_depth,
                prefetch=prefetch,
                high_priority=high_priority,
            ),
        ),
    )


def contents_of(memory: MemoryConfig, seed: object) -> list[int]:
    toss = random.Random(repr(seed))
    return [toss.getrandbits(memory.bank_bits) for _ in range(memory.banks * memory.rows)]


def expected_beats(config, mover, contents, tasks):
    memory = config.memory
    words = Words(memory)
    for index, value in enumerate(contents):
        words.write(*divmod(index, memory.rows), value, -1)
    for task in tasks:
        pad = int.from_bytes(bytes([task.pad]) * memory.word_bytes, "little")
        rows = list(touched(memory, mover.spatial_bounds, mover.reach, task))
        errors = faulty(memory, mover.spatial_bounds, mover.reach, task)
        for index, (places, mark, error) in enumerate(zip(rows, task.marks, errors, strict=True)):
            data = 0
            for channel, place in enumerate(places):
                word = pad if place is None else words.read(*place)
                data |= word << channel * memory.bank_bits
            yield data, mark, index == len(rows) - 1, error


def read_tasks(config, tasks, *, rows=0.0, take=0.0, rivals=(), seed=0):
    """The beats of `tasks`, each with the cycle in which it was taken, and what else was seen."""
    dut = Streamers(config, spare=1 + len(rivals))
    port, memory = dut.ports["R"], config.memory
    contents = contents_of(memory, seed)
    wanted = list(expected_beats(config, port.mover, contents, tasks))
    beats: list = []
    seen = Counter()
    trace: list = []

    async def source(ctx):
        await sweep(ctx, dut.spare[0], memory, contents)
        await feed_rows(ctx, port, tasks, stalls(rows, (seed, "rows")))

    async def sink(ctx):
        beats[:] = await collect(ctx, port.o, len(wanted), stalls(take, (seed, "take")))
        await ctx.tick().repeat(3)

    async def record(ctx):
        seen.clear()
        trace.clear()
        while True:
            _, _, retired, fault, activity, *requests = await ctx.tick().sample(
                port.core.retired,
                port.core.fault.code,
                port.core.activity,
                *[signal for port in port.memory for signal in (port.req.valid, port.req.ready)],
            )
            asked = list(zip(requests[0::2], requests[1::2], strict=True))
            trace.append((retired, activity.valid & activity.ready, asked))
            seen["retired"] += retired
            seen["faults"] += fault != FaultCode.NONE
            seen["accesses"] += activity.accesses
            seen["conflicts"] += activity.conflict
            seen["active"] += activity.valid & activity.ready
            seen["written"] += activity.written

    run(
        dut,
        [source, sink],
        background=[
            record,
            watch(port.o, "o"),
            *[watch(wires.req, "request") for wires in port.memory],
            *[watch_following(wires, memory) for wires in port.memory],
            *[rival(dut.spare[1 + i], memory, stall, (seed, i)) for i, stall in enumerate(rivals)],
        ],
        limit=20_000,
    )
    assert [(b.data, b.mark, b.end, b.error) for b in beats] == [
        (data, mark, end, error) for data, mark, end, error in wanted
    ]
    places = [
        row
        for t in tasks
        for row in touched(memory, port.mover.spatial_bounds, port.mover.reach, t)
    ]
    assert seen["accesses"] == sum(place is not None for row in places for place in row)
    assert seen["active"] == len(beats)
    assert seen["faults"] == sum(error for *_, error in wanted)
    assert seen["written"] == 0
    check_retirement(config, port.mover, tasks, trace)
    if not port.mover.prefetch:
        check_wide_requests(places, trace)
    return seen


def check_retirement(config, mover, tasks, trace):
    """A BD retires after the last response of each channel, and all of them do."""
    needed, due = [0] * mover.channels, []
    for task in tasks:
        for places in touched(config.memory, mover.spatial_bounds, mover.reach, task):
            needed = [n + (p is not None) for n, p in zip(needed, places, strict=True)]
        due.append(list(needed))
    retired = 0
    for time, (pulse, *_) in enumerate(trace):
        if pulse:
            before = trace[: max(time - config.memory.latency, 0)]
            grants = [[v & r for v, r in asked] for *_, asked in before]
            granted = [sum(g) for g in zip(*grants, strict=True)]
            wanted = due[retired]
            assert all(g >= w for g, w in zip(granted or [0] * len(wanted), wanted, strict=True))
            retired += 1
    assert retired == len(tasks)


def check_wide_requests(places, trace):
    """All channels of a row ask together, after the beat before it has been taken."""
    taken = [time for time, (_, beat, _) in enumerate(trace) if beat]
    requests = wide_requests(places, [asked for *_, asked in trace])
    for before, request in zip(taken, requests[1:], strict=False):
        assert request is None or request[0] > before


@settings(max_examples=10, deadline=None)
@given(
    stages=st.integers(1, 3),
    reach=st.sampled_from([0, 0, 4]),
    depths=st.sampled_from([(2, 2), (3, 5), (4, 4), (8, 8)]),
    high=st.booleans(),
    guards=st.sampled_from([0, 1, 2, 4]),
    enable=st.booleans(),
    prefetch=st.booleans(),
    rows=st.sampled_from([0.0, 0.5, 0.9]),
    take=st.sampled_from([0.0, 0.5, 0.9]),
    rivals=st.lists(st.sampled_from([0.0, 0.5]), max_size=2),
    seed=st.integers(0, 10_000),
)
def test_beats_are_the_words_of_the_rows(
    stages, reach, depths, high, guards, enable, prefetch, rows, take, rivals, seed
) -> None:
    config = system(
        stages=stages,
        reach=reach,
        address_depth=depths[0],
        data_depth=depths[1],
        high_priority=high,
        guards=guards,
        enable=enable,
        prefetch=prefetch,
    )
    toss = random.Random(seed)
    tasks = [random_task(config.memory, config.movers[0], toss) for _ in range(toss.randint(1, 5))]
    read_tasks(config, tasks, rows=rows, take=take, rivals=rivals, seed=seed)


@pytest.mark.parametrize("stages", [1, 2, 3])
@pytest.mark.parametrize("reach", [0, 4])
def test_a_beat_a_cycle_without_conflict_also_between_tasks(stages, reach) -> None:
    config = system(stages=stages, reach=reach, data_depth=stages + 3, address_depth=2)
    # The first row is accepted in cycle 0.
    assert beat_cycles(config) == list(range(stages + 5, stages + 5 + 34))


@pytest.mark.parametrize("stages", [1, 3])
def test_without_prefetch_a_beat_takes_a_round_trip(stages) -> None:
    first, each = stages + 5, stages + 4
    assert beat_cycles(system(stages=stages, prefetch=False)) == [
        first + each * beat for beat in range(34)
    ]


def beat_cycles(config: AcceleratorConfig) -> list[int]:
    """The cycles in which a consumer that is always ready takes beats without a conflict."""
    short = Task(base=8, bounds=(1, 1, 1), strides=(0, 0, 0), spatial_strides=(2, 4))
    tasks = [STREAM, short, short, STREAM]
    count = sum(len(task.addresses) for task in tasks)
    dut = Streamers(config)
    port = dut.ports["R"]
    beats: list[int] = []

    async def source(ctx):
        await feed_rows(ctx, port, tasks)

    async def sink(ctx):
        time = 0
        ctx.set(port.o.ready, 1)
        while len(beats) < count:
            _, _, valid = await ctx.tick().sample(port.o.valid)
            if valid:
                beats.append(time)
            time += 1

    run(dut, [source, sink])
    return beats


def test_rivals_cost_cycles_that_are_counted() -> None:
    config = system(high_priority=False)
    alone = read_tasks(config, [STREAM])
    assert alone["conflicts"] == 0
    assert read_tasks(config, [STREAM], rivals=[0.0, 0.0])["conflicts"] > 0


def test_channels_run_ahead_and_tasks_retire_while_the_consumer_waits() -> None:
    config = system(data_depth=4)
    tasks = [
        Task(base=8 * i, bounds=(1,) * 3, strides=(0,) * 3, spatial_strides=(2, 4))
        for i in range(6)
    ]
    dut = Streamers(config)
    port = dut.ports["R"]

    async def source(ctx):
        await feed_rows(ctx, port, tasks)

    async def consumer(ctx):
        retired = 0
        for _ in range(60):
            _, _, pulse = await ctx.tick().sample(port.core.retired)
            retired += pulse
        # Four beats in the FIFOs and one on offer.
        assert retired == 5
        ctx.set(port.o.ready, 1)
        for _ in range(30):
            _, _, pulse = await ctx.tick().sample(port.core.retired)
            retired += pulse
        assert retired == 6

    run(dut, [source, consumer])


def test_a_skipped_row_takes_its_turn_and_gives_pad_bytes() -> None:
    config = system()
    beyond = Task(
        base=config.memory.bytes - 8,
        bounds=(3, 1, 1),
        strides=(2, 0, 0),
        spatial_strides=(2, 4),
        pad=0xA5,
    )
    seen = read_tasks(config, [STREAM, beyond, STREAM, beyond, beyond], take=0.3)
    assert seen["faults"] == 6
    assert seen["retired"] == 5


@pytest.mark.parametrize("stall", [0.0, 0.6])
def test_an_image_is_read_with_a_border_of_pad_bytes(stall) -> None:
    """Rows and columns beyond the image exist nowhere, not even in the address space."""
    config = system(guards=2, bounds=(4,))
    height, width, word = 3, 4, config.memory.word_bytes
    before, after = (2, 1), (1, 3)
    columns = before[1] + width + after[1]
    task = Task(
        base=-word * (before[0] * width + before[1]),
        bounds=(columns // 4, before[0] + height + after[0], 1),
        strides=(4 * word, width * word, 0),
        spatial_strides=(word,),
        guards=(
            Guard(offset=-before[0], limit=height, strides=(0, 1, 0)),
            Guard(offset=-before[1], limit=width, strides=(4, 0, 0), coefficient=1),
        ),
        pad=0x5A,
    )
    image = np.array(contents_of(config.memory, 7)).reshape(8, 8).T.reshape(-1)
    image = image[: height * width].reshape(height, width)
    padded = np.pad(image, tuple(zip(before, after, strict=True)), constant_values=0x5A5A)
    dut = Streamers(config)
    port = dut.ports["R"]
    beats: list = []

    async def source(ctx):
        await sweep(ctx, dut.spare[0], config.memory, contents_of(config.memory, 7))
        await feed_rows(ctx, port, [task], stalls(stall, "rows"))

    async def sink(ctx):
        beats[:] = await collect(ctx, port.o, padded.size // 4, stalls(stall, "take"))

    run(dut, [source, sink], background=[watch(port.o)])
    words = [beat.data >> 16 * channel & 0xFFFF for beat in beats for channel in range(4)]
    np.testing.assert_array_equal(np.array(words).reshape(padded.shape), padded)
    assert not any(beat.error for beat in beats)


@pytest.mark.parametrize("stages", [1, 3])
def test_padding_costs_no_cycle(stages) -> None:
    """A beat a cycle, whether all, some or no channels of a row exist."""
    config = system(stages=stages, data_depth=stages + 3, address_depth=2, guards=1)
    checkered = Task(
        base=0,
        bounds=(20, 1, 1),
        strides=(0, 0, 0),
        spatial_strides=(2, 4),
        guards=(Guard(offset=-8, limit=5, strides=(1, 0, 0), coefficient=1, dimension=1),),
    )
    dut = Streamers(config)
    port = dut.ports["R"]
    beats = []

    async def source(ctx):
        await feed_rows(ctx, port, [checkered])

    async def sink(ctx):
        ctx.set(port.o.ready, 1)
        for time in range(stages + 5 + 20):
            _, _, valid = await ctx.tick().sample(port.o.valid)
            if valid:
                beats.append(time)

    run(dut, [source, sink])
    assert beats == list(range(stages + 5, stages + 5 + 20))


def test_a_rival_of_higher_priority_cannot_starve_the_port() -> None:
    config = system(high_priority=False, data_depth=8)
    dut = Streamers(config, spare=3)
    port = dut.ports["R"]
    worst = Counter()

    async def source(ctx):
        await feed_rows(ctx, port, [STREAM])

    async def sink(ctx):
        await collect(ctx, port.o, len(STREAM.addresses))

    async def bullies(ctx):
        for wires in dut.spare:
            ctx.set(wires.req.valid, 1)
        while True:
            await ctx.tick()

    async def record(ctx):
        worst.clear()
        lost = Counter()
        while True:
            signals = [s for wires in port.memory for s in (wires.req.valid, wires.req.ready)]
            _, _, *flags = await ctx.tick().sample(*signals)
            for channel, (valid, ready) in enumerate(zip(flags[0::2], flags[1::2], strict=True)):
                lost[channel] = lost[channel] + 1 if valid and not ready else 0
                worst["lost"] = max(worst["lost"], lost[channel])

    run(dut, [source, sink], background=[record, bullies])
    requesters = len(dut.scratchpad.requesters)
    assert config.memory.aging <= worst["lost"] <= config.memory.aging + requesters - 1


def test_another_kind_of_mover_is_refused() -> None:
    config = system()
    writer = MoverConfig(name="W", kind="write", bind="export", spatial_bounds=(4,))
    with pytest.raises(ConfigError, match=r"movers\.W\.kind = 'write': .* read mover"):
        ReadPort(config=config, mover=writer)


def test_it_can_be_emitted() -> None:
    config = system()
    dut = ReadPort(config=config, mover=config.movers[0])
    assert "module reader" in verilog.convert(dut, name="reader")
