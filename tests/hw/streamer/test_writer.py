import random
from collections import Counter, defaultdict

import numpy as np
import pytest
from amaranth.back import verilog
from hypothesis import given, settings
from hypothesis import strategies as st

from support.bench import collect, feed, run, stalls, watch
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
from weft.hw.config import AcceleratorConfig, DmaConfig, MemoryConfig, MoverConfig
from weft.hw.errors import ConfigError
from weft.hw.streamer import WritePort
from weft.sim.golden.memory import Words
from weft.sim.golden.streamer import Guard, Task, faulty, touched

STREAM = Task(base=0, bounds=(2, 4, 2), strides=(8, 16, 64), spatial_strides=(2, 4))
"""Beats of four words side by side: no bank is asked twice."""


def system(
    *,
    stages=1,
    reach=0,
    depth=4,
    from_dram=False,
    shared=False,
    guards=0,
    bounds=(2, 2),
    enable=False,
    masked=False,
    prefetch=True,
) -> AcceleratorConfig:
    """A write mover W; one that shares its ports with a reader R; or one fed by a DRAM mover."""
    channels = {"spatial_bounds": bounds, "loops": 3, "reach": reach}
    depths = {"address_depth": depth, "data_depth": depth, "prefetch": prefetch}
    bind, share = ("M" if from_dram else "export"), ("R" if shared else "")
    movers = [
        MoverConfig(
            name="W",
            kind="write",
            bind=bind,
            shares_ports_with=share,
            guards=guards,
            channel_enable=enable,
            byte_mask=masked,
            **channels,
            **depths,
        )
    ]
    if shared:
        movers.append(
            MoverConfig(
                name="R", kind="read", bind="export", shares_ports_with="W", **channels, **depths
            )
        )
    if from_dram:
        movers.append(MoverConfig(name="M", kind="mm2s", bind="W"))
    return AcceleratorConfig(
        name="test",
        memory=MemoryConfig(
            banks=8, bank_bits=16, rows=8, groups=(8, 4, 1), crossbar_stages=stages, aging=4
        ),
        movers=tuple(movers),
        dma=DmaConfig(data_bits=64, burst_beats=4, read_buffer=4, write_buffer=4),
    )


def random_beats(config, count, toss, *, partial):
    """Beats of four 16-bit words; where `partial`, some do not count to their end."""
    for _ in range(count):
        beat = {"data": toss.getrandbits(64), "error": 0}
        if partial:
            beat["count"] = toss.choice([8, 8, 8, toss.randint(0, 8)])
            beat["end"] = beat["count"] < 8
        yield beat


def expected_contents(config, mover, tasks, beats, before):
    """Each word's value, or None where channels that run ahead of each other may both write it."""
    memory = config.memory
    words, writers, beat = Words(memory), defaultdict(set), iter(beats)
    for index, value in enumerate(before):
        words.write(*divmod(index, memory.rows), value, -1)
    for task in tasks:
        for places in touched(memory, mover.spatial_bounds, mover.reach, task):
            given = next(beat)
            for channel, place in enumerate(places):
                if place is not None:
                    kept = min(max(given.get("count", 8) - 2 * channel, 0), 2)
                    word = given["data"] >> 16 * channel & 0xFFFF
                    words.write(*place, word, (1 << kept) - 1 & task.byte_mask)
                    writers[place].add(channel)
    return [
        words.read(bank, row) if len(writers[bank, row]) < 2 else None
        for bank in range(memory.banks)
        for row in range(memory.rows)
    ]


def write_tasks(config, tasks, beats, *, rows=0.0, give=0.0, rivals=(), seed=0):
    """Run `tasks` on mover W, check what they leave behind, and tell what was seen."""
    dut = Streamers(config, spare=1 + len(rivals))
    port, memory, toss = dut.ports["W"], config.memory, random.Random(seed)
    before = [toss.getrandbits(16) for _ in range(memory.banks * memory.rows)]
    after: list = []
    seen = Counter()
    trace: list = []

    async def source(ctx):
        await feed(ctx, port.i, beats, stalls(give, (seed, "give")))

    async def rows_and_check(ctx):
        seen.clear()
        trace.clear()
        await sweep(ctx, dut.spare[0], memory, before)
        await feed_rows(ctx, port, tasks, stalls(rows, (seed, "rows")))
        while seen["retired"] < len(tasks):
            await ctx.tick()
        after[:] = await sweep(ctx, dut.spare[0], memory, None)

    async def record(ctx):
        while True:
            _, _, retired, fault, activity, *requests = await ctx.tick().sample(
                port.core.retired,
                port.core.fault.code,
                port.core.activity,
                *[signal for port in port.memory for signal in (port.req.valid, port.req.ready)],
            )
            # Every channel has been granted, in earlier cycles, its words of all BDs so far.
            if retired:
                wanted = [sum(row[c] is not None for row in due[seen["retired"]]) for c in range(4)]
                assert all(seen["granted", channel] >= wanted[channel] for channel in range(4))
                seen["retired"] += 1
            trace.append(list(zip(requests[0::2], requests[1::2], strict=True)))
            for channel, (valid, ready) in enumerate(trace[-1]):
                seen["granted", channel] += valid & ready
            seen[FaultCode(fault)] += 1
            seen["accesses"] += activity.accesses
            seen["conflicts"] += activity.conflict
            seen["active"] += activity.valid & activity.ready
            seen["written"] += activity.written

    due: list = []
    for task in tasks:
        rows_so_far = due[-1] if due else []
        due.append(
            rows_so_far + list(touched(memory, port.mover.spatial_bounds, port.mover.reach, task))
        )
    total = sum(place is not None for row in due[-1] for place in row)
    run(
        dut,
        [source, rows_and_check],
        background=[
            record,
            *[watch(wires.req, "request") for wires in port.memory],
            *[watch_following(wires, memory) for wires in port.memory],
            *[rival(dut.spare[1 + i], memory, stall, (seed, i)) for i, stall in enumerate(rivals)],
        ],
        limit=20_000,
    )
    wanted = expected_contents(config, port.mover, tasks, beats, before)
    for word, (value, want) in enumerate(zip(after, wanted, strict=True)):
        assert want is None or value == want, f"word {word}"
    assert seen["accesses"] == sum(seen["granted", channel] for channel in range(4)) == total
    assert seen["active"] == len(beats)
    wrong = [
        error
        for task in tasks
        for error in faulty(memory, port.mover.spatial_bounds, port.mover.reach, task)
    ]
    own = (FaultCode.ADDRESS_RANGE, FaultCode.ALIGNMENT, FaultCode.REACH)
    assert sum(seen[code] for code in own) == sum(wrong)
    assert seen["retired"] == len(tasks)
    assert (seen["written"] > 0) == (total > 0)
    if not port.mover.prefetch:
        check_wide_requests(due[-1], trace)
    return seen


def check_wide_requests(places, trace):
    """All channels of a row ask together, after the grants of all rows before it."""
    granted = -1
    for request in wide_requests(places, trace):
        if request is not None:
            assert request[0] > granted
            granted = request[1]


@settings(max_examples=10, deadline=None)
@given(
    stages=st.integers(1, 3),
    reach=st.sampled_from([0, 0, 4]),
    depth=st.sampled_from([2, 3, 8]),
    partial=st.booleans(),
    guards=st.sampled_from([0, 1, 2, 4]),
    enable=st.booleans(),
    masked=st.booleans(),
    prefetch=st.booleans(),
    rows=st.sampled_from([0.0, 0.5, 0.9]),
    give=st.sampled_from([0.0, 0.5, 0.9]),
    rivals=st.lists(st.sampled_from([0.0, 0.5]), max_size=2),
    seed=st.integers(0, 10_000),
)
def test_beats_go_to_the_words_of_the_rows(
    stages, reach, depth, partial, guards, enable, masked, prefetch, rows, give, rivals, seed
) -> None:
    config = system(
        stages=stages,
        reach=reach,
        depth=depth,
        from_dram=partial,
        guards=guards,
        enable=enable,
        masked=masked,
        prefetch=prefetch,
    )
    toss = random.Random(seed)
    tasks = [random_task(config.memory, config.movers[0], toss) for _ in range(toss.randint(1, 4))]
    count = sum(len(task.addresses) for task in tasks)
    beats = list(random_beats(config, count, toss, partial=partial))
    write_tasks(config, tasks, beats, rows=rows, give=give, rivals=rivals, seed=seed)


@pytest.mark.parametrize("depth", [2, 4])
def test_a_beat_a_cycle_without_conflict_also_between_tasks(depth) -> None:
    granted, retired = write_cycles(system(depth=depth))
    # The first row is accepted in cycle 0; a BD retires two cycles after its last grant.
    assert granted == list(range(3, 3 + 34))
    assert retired == [3 + 15 + 2, 3 + 16 + 2, 3 + 17 + 2, 3 + 33 + 2]


def test_without_prefetch_a_beat_takes_three_cycles() -> None:
    granted, retired = write_cycles(system(prefetch=False))
    # The first beat is there before its row.
    assert granted == [3, *range(6, 6 + 3 * 33, 3)]
    assert retired == [granted[last] + 2 for last in (15, 16, 17, 33)]


def write_cycles(config: AcceleratorConfig) -> tuple[list[int], list[int]]:
    """The cycles in which beats are granted, and BDs retire, without a conflict or a pause."""
    short = Task(base=8, bounds=(1, 1, 1), strides=(0, 0, 0), spatial_strides=(2, 4))
    tasks = [STREAM, short, short, STREAM]
    dut = Streamers(config)
    port = dut.ports["W"]
    count = sum(len(task.addresses) for task in tasks)
    granted: list[int] = []
    retired: list[int] = []

    async def source(ctx):
        await feed(ctx, port.i, [{"data": 1}] * count)

    async def rows(ctx):
        await feed_rows(ctx, port, tasks)

    async def record(ctx):
        signals = [wires.req.valid for wires in port.memory]
        for time in range(3 * count + 12):
            _, _, pulse, *valid = await ctx.tick().sample(port.core.retired, *signals)
            if any(valid):
                assert all(valid)
                granted.append(time)
            if pulse:
                retired.append(time)

    run(dut, [source, rows, record])
    return granted, retired


def test_rivals_cost_cycles_that_are_counted() -> None:
    config, count = system(), len(STREAM.addresses)
    beats = list(random_beats(config, count, random.Random(0), partial=False))
    assert write_tasks(config, [STREAM], beats)["conflicts"] == 0
    assert write_tasks(config, [STREAM], beats, rivals=[0.0, 0.0])["conflicts"] > 0


def test_an_upstream_error_is_stored_and_reported() -> None:
    config, count = system(), len(STREAM.addresses)
    beats = list(random_beats(config, count, random.Random(0), partial=False))
    assert write_tasks(config, [STREAM], beats)[FaultCode.UPSTREAM] == 0
    for index in (3, 9):
        beats[index]["error"] = 1
    assert write_tasks(config, [STREAM], beats)[FaultCode.UPSTREAM] == 2


@pytest.mark.parametrize("from_dram", [False, True])
@pytest.mark.parametrize("ahead", [False, True])
def test_an_upstream_error_is_that_of_the_row_it_meets(from_dram: bool, ahead: bool) -> None:
    """However far the beats are ahead of the rows, or the rows of the beats; and in time."""
    config = system(from_dram=from_dram)
    single = Task(base=0, bounds=(1, 1, 1), strides=(0, 0, 0), spatial_strides=(2, 4))
    tasks = [single, STREAM, single, single, STREAM, single] * 3
    count = sum(len(task.addresses) for task in tasks)
    toss = random.Random(repr((from_dram, ahead)))
    beats = list(random_beats(config, count, toss, partial=False))
    owners = [number for number, task in enumerate(tasks) for _ in task.addresses]
    guilty = [toss.random() < 0.2 for _ in beats]
    for beat, error in zip(beats, guilty, strict=True):
        beat["error"] = error
    dut = Streamers(config)
    port = dut.ports["W"]
    blamed: list[int] = []
    retired = 0

    async def source(ctx):
        await feed(ctx, port.i, beats, stalls(0.0 if ahead else 0.5, 1))

    async def rows(ctx):
        await feed_rows(ctx, port, tasks, stalls(0.5 if ahead else 0.0, 2))
        while retired < len(tasks):
            await ctx.tick()

    async def record(ctx):
        nonlocal retired
        retired = 0
        blamed.clear()
        async for _, _, over, fault in ctx.tick().sample(port.core.retired, port.core.fault):
            if fault.code:
                assert (fault.code, fault.named) == (FaultCode.UPSTREAM, 1)
                # The tag is a number's lowest bits; the one meant has not retired before.
                number = retired + (fault.tag - retired) % 16
                blamed.append(number)
            retired += over

    run(dut, [source, rows], background=[record])
    assert blamed == [owner for owner, error in zip(owners, guilty, strict=True) if error]


def test_a_channel_out_of_range_drops_its_word_and_is_reported() -> None:
    config = system()
    tasks = [
        STREAM,
        Task(
            base=config.memory.bytes - 8,
            bounds=(3, 1, 1),
            strides=(2, 0, 0),
            spatial_strides=(2, 4),
        ),
    ]
    count = sum(len(task.addresses) for task in tasks)
    beats = list(random_beats(config, count, random.Random(0), partial=False))
    seen = write_tasks(config, tasks, beats, give=0.3)
    assert seen[FaultCode.ADDRESS_RANGE] == 2


@pytest.mark.parametrize("stall", [0.0, 0.6])
def test_what_hangs_over_an_image_is_taken_and_not_written(stall) -> None:
    """The tiles of a ragged image in full: it gets its part and its surroundings stay."""
    config, toss = system(guards=2, bounds=(4, 2)), random.Random(stall)
    height, width, word = 5, 6, config.memory.word_bytes
    left, rows, columns = 1, 6, 8
    task = Task(
        base=-word * left,
        bounds=(columns // 4, rows // 2, 1),
        strides=(4 * word, 2 * width * word, 0),
        spatial_strides=(word, width * word),
        guards=(
            Guard(offset=0, limit=height, strides=(0, 2, 0), coefficient=1, dimension=1),
            Guard(offset=-left, limit=width, strides=(4, 0, 0), coefficient=1, dimension=0),
        ),
    )
    given = np.array([toss.getrandbits(16) for _ in range(rows * columns)]).reshape(rows, columns)
    beats = [
        {"data": sum(int(v) << 16 * c for c, v in enumerate(given[y : y + 2, x : x + 4].flat))}
        for y in range(0, rows, 2)
        for x in range(0, columns, 4)
    ]
    dut = Streamers(config)
    port, memory = dut.ports["W"], config.memory
    before = [toss.getrandbits(16) for _ in range(memory.banks * memory.rows)]
    after: list = []

    async def source(ctx):
        await feed(ctx, port.i, beats, stalls(stall, "give"))

    async def program(ctx):
        await sweep(ctx, dut.spare[0], memory, before)
        await feed_rows(ctx, port, [task], stalls(stall, "rows"))
        await ctx.tick().until(port.core.retired)
        after[:] = await sweep(ctx, dut.spare[0], memory, None)

    async def no_faults(ctx):
        async for _, _, code in ctx.tick().sample(port.core.fault.code):
            assert code == FaultCode.NONE

    run(dut, [source, program], background=[no_faults])
    # Bank by bank as swept, word by word as addressed.
    flat, wanted = (np.array(each).reshape(8, 8).T.reshape(-1) for each in (after, before))
    wanted[: height * width] = given[:height, left : left + width].reshape(-1)
    np.testing.assert_array_equal(flat, wanted)


@pytest.mark.parametrize("stages", [1, 3])
def test_what_a_writer_stored_a_reader_gives_back_through_shared_ports(stages) -> None:
    """The next half is written while the last one is read."""
    config, toss = system(stages=stages, shared=True), random.Random(stages)
    dut = Streamers(config)
    writer, reader = dut.ports["W"], dut.ports["R"]
    halves = [
        Task(base=base, bounds=(2, 4, 1), strides=(8, 16, 0), spatial_strides=(2, 4))
        for base in (0, 64)
    ]
    tasks = halves * 4
    beats = [toss.getrandbits(64) for _ in range(8 * len(tasks))]
    progress = Counter()
    taken: list = []

    async def source(ctx):
        await feed(ctx, writer.i, [{"data": beat} for beat in beats], stalls(0.2, "give"))

    async def count(ctx):
        progress.clear()
        while True:
            _, _, written, read = await ctx.tick().sample(writer.core.retired, reader.core.retired)
            progress["written"] += written
            progress["read"] += read

    async def write(ctx):
        for number, task in enumerate(tasks):
            while progress["read"] < number - 1:
                await ctx.tick()
            await feed_rows(ctx, writer, [task])

    async def read(ctx):
        for number, task in enumerate(tasks):
            while progress["written"] <= number:
                await ctx.tick()
            await feed_rows(ctx, reader, [task])

    async def sink(ctx):
        taken[:] = await collect(ctx, reader.o, len(beats), stalls(0.2, "take"))

    run(dut, [source, write, read, sink], background=[count, watch(reader.o)])
    assert [beat.data for beat in taken] == beats


def test_another_kind_of_mover_is_refused() -> None:
    reader = MoverConfig(name="R", kind="read", bind="export", spatial_bounds=(4,))
    with pytest.raises(ConfigError, match=r"movers\.R\.kind = 'read': .* write mover"):
        WritePort(config=system(), mover=reader)


@pytest.mark.parametrize("from_dram", [False, True])
def test_it_can_be_emitted(from_dram) -> None:
    config = system(from_dram=from_dram)
    dut = WritePort(config=config, mover=config.movers[0])
    assert ("count" in dut.i.payload.shape().members) == from_dram
    assert "module writer" in verilog.convert(dut, name="writer")
