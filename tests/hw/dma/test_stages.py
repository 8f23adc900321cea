"""The stages of a DRAM port one by one: shaper, legalizer, cutter, buffer."""

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.bench import collect, feed, run, stalls, watch
from support.dram_rows import row_payload, rows, split_bds
from weft.hw.dma.buffer import BeatBuffer
from weft.hw.dma.cutter import RunCutter
from weft.hw.dma.joiner import RunJoiner
from weft.hw.dma.legalizer import BurstLegalizer
from weft.hw.dma.shaper import RunShaper
from weft.sim.golden.dma import Guard, Row, bursts, joined

STALL = st.sampled_from([0.0, 0.3, 0.9])
ALL = Guard(value=0, limit=(1 << 31) - 1, run=True)


def through(dut, items, *, give=0.0, take=0.0, seed=0, count=None):
    """What `dut` gives for `items`."""
    taken = []
    count = len(items) if count is None else count

    async def source(ctx):
        await feed(ctx, dut.i, items, stalls(give, seed))

    async def sink(ctx):
        taken[:] = await collect(ctx, dut.o, count, stalls(take, seed + 1))

    run(dut, [source, sink], background=[watch(dut.o)])
    return taken


def offers(dut, items, cycles):
    """Whether `dut`, never stalled, offers and accepts in each cycle."""
    seen = []

    async def source(ctx):
        await feed(ctx, dut.i, items)

    async def sink(ctx):
        ctx.set(dut.o.ready, 1)
        for _ in range(cycles):
            _, _, offered, accepted = await ctx.tick().sample(dut.o.valid, dut.i.ready)
            seen.append((offered, accepted))

    run(dut, [sink], background=[source])
    return seen


@settings(max_examples=20, deadline=None)
@given(
    st.lists(rows(guards=3), min_size=1, max_size=12),
    STALL,
    STALL,
    st.integers(0, 99),
    st.booleans(),
)
def test_shaper_finds_the_bytes_that_exist(wanted, give, take, seed, pipelined):
    dut = RunShaper(address_bits=64, guards=3, pipelined=pipelined)
    items = [row_payload(dut.i.payload.shape(), row) for row in wanted]
    taken = through(dut, items, give=give, take=take, seed=seed)
    for row, shaped in zip(wanted, taken, strict=True):
        present = row.present
        assert shaped.size == len(present)
        assert shaped.low + shaped.size + shaped.high == row.length
        assert (shaped.pad, shaped.end) == (row.pad, row.end)
        assert shaped.exists == bool(present)
        if present:
            assert shaped.low == present[0]
            assert shaped.address == row.address + present[0]
            assert shaped.after == row.address + present[-1] + 1


@pytest.mark.parametrize("length", [1, (1 << 24) - 1])
@pytest.mark.parametrize("value", [-(1 << 31), -1, 0, (1 << 31) - 1])
@pytest.mark.parametrize("limit", [0, 1, (1 << 31) - 1])
@pytest.mark.parametrize("along", [True, False])
def test_shaper_at_the_extremes(length, value, limit, along):
    dut = RunShaper(address_bits=32, guards=1)
    row = Row(address=64, length=length, guards=(Guard(value=value, limit=limit, run=along),))
    shaped = through(dut, [row_payload(dut.i.payload.shape(), row)])[0]
    begin, stop = max(0, -value), min(length, limit - value)
    if not along:
        begin, stop = 0, length if 0 <= value < limit else 0
    assert shaped.size == max(0, stop - begin)
    assert shaped.low == (begin if stop > begin else length)


@pytest.mark.parametrize("pipelined", [False, True])
def test_shaper_passes_a_row_a_cycle_one_cycle_later(pipelined):
    dut = RunShaper(address_bits=64, guards=2, pipelined=pipelined)
    item = row_payload(dut.i.payload.shape(), Row(address=3, length=5, guards=(ALL, ALL)))
    assert offers(dut, [item] * 20, 20) == [(t >= 1 + 2 * pipelined, 1) for t in range(20)]


def span(dut, address, size, end=0):
    """`size` bytes for a legalizer."""
    fields = {"address": address, "after": address + size, "exists": size > 0, "end": end}
    return dut.i.payload.shape().const(fields)


SPAN = st.tuples(
    st.sampled_from([0, 0xFC0, (1 << 40) - 0x40]), st.integers(0, 300), st.integers(1, 9000)
)


@settings(max_examples=12, deadline=None)
@given(
    st.sampled_from([(32, 4), (32, 256), (128, 16), (512, 1), (512, 64)]),
    st.lists(SPAN, min_size=1, max_size=4),
    STALL,
    STALL,
    st.integers(0, 99),
    st.booleans(),
)
def test_legalizer_gives_the_bursts_of_the_definition(shape, spans, give, take, seed, pipelined):
    width, cap = shape
    dut = BurstLegalizer(address_bits=64, data_bits=width, burst_beats=cap, pipelined=pipelined)
    spans = [(base + offset, size // (1 if cap > 8 else 8) + 1) for base, offset, size in spans]
    items = [span(dut, a, s, k % 2) for k, (a, s) in enumerate(spans)]
    expected = []
    for k, (address, size) in enumerate(spans):
        found = bursts(address, size, width // 8, cap)
        expected += [(a, n, k % 2 == 1 and j == len(found) - 1) for j, (a, n) in enumerate(found)]
    taken = through(dut, items, give=give, take=take, seed=seed, count=len(expected))
    assert [(b.addr, b.len + 1, bool(b.end)) for b in taken] == expected
    assert not any(b.none for b in taken)
    # Every byte of the spans is in one burst.
    given_bursts = iter(taken)
    for address, size in spans:
        inside = address
        for start, beats in bursts(address, size, width // 8, cap):
            burst = next(given_bursts)
            assert start + burst.before == inside
            length = beats * width // 8 - burst.before - burst.behind
            assert length == min(start + beats * width // 8, address + size) - inside
            inside += length


def test_legalizer_names_an_end_without_a_burst():
    dut = BurstLegalizer(address_bits=64, data_bits=64, burst_beats=16)
    empty, burst = through(dut, [span(dut, 7, 0, end=1), span(dut, 7, 2)])
    assert (empty.none, empty.end) == (1, 1)
    assert (burst.none, burst.addr, burst.len, burst.end) == (0, 0, 1, 0)


def test_legalizer_passes_a_burst_a_cycle():
    dut = BurstLegalizer(address_bits=64, data_bits=64, burst_beats=4)
    spans = [span(dut, 0, size) for size in (96, 8, 8, 64)]
    seen = offers(dut, spans, 9)
    assert [offered for offered, _ in seen] == [1] * 7 + [0, 0]
    assert [accepted for _, accepted in seen] == [1, 0, 1, 1, 1, 0, 1, 1, 1]


def test_pipelined_legalizer_passes_a_burst_a_cycle_two_cycles_later():
    dut = BurstLegalizer(address_bits=64, data_bits=64, burst_beats=4, pipelined=True)
    seen = offers(dut, [span(dut, 0, size) for size in (96, 8, 8, 64)], 11)
    assert [offered for offered, _ in seen] == [0] * 2 + [1] * 7 + [0, 0]


def test_legalizer_offers_the_same_burst_while_it_is_stalled():
    dut = BurstLegalizer(address_bits=64, data_bits=64, burst_beats=4)
    spans = [span(dut, 8 * k, 8) for k in range(8)]
    taken = through(dut, spans, give=0.5, take=0.9, seed=3)
    assert [burst.addr for burst in taken] == [8 * k for k in range(8)]


def run_of(dut, address, size, **fields):
    """A run of `size` existing bytes for a joiner."""
    fields |= {"address": address, "size": size, "exists": size > 0, "after": address + size}
    return dut.i.payload.shape().const(fields)


@st.composite
def walks(draw):
    """BDs of runs that mostly continue one another, with a clipped one here and there."""
    rows, address = [], draw(st.integers(0, 300))
    for _ in range(draw(st.integers(1, 20))):
        length = draw(st.sampled_from([1, 3, 8, 16, 24, 40, 100, 129, 700]))
        address += draw(st.sampled_from([0, 0, 0, 0, 0, 1, -length, 512]))
        address = max(address, 0)
        guard = Guard(value=0, limit=draw(st.sampled_from([1 << 20] * 6 + [5, 0])), run=True)
        end = draw(st.integers(0, 7)) == 0
        rows.append(Row(address=address, length=length, guards=(guard,), end=end))
        address += length
    return [*rows[:-1], replace(rows[-1], end=True)]


@settings(max_examples=20, deadline=None)
@given(walks(), st.sampled_from([8, 64, 1024]), STALL, STALL, st.integers(0, 99), st.booleans())
def test_joiner_joins_what_continues(rows, span, give, take, seed, pipelined):
    dut = RunJoiner(address_bits=32, span=span, pipelined=pipelined)
    items, expected = [], []
    for bd in split_bds(rows):
        for row in bd:
            size = len(row.present)
            clips = {"low": 0, "high": row.length - size} if size else {"low": row.length}
            items.append(run_of(dut, row.address, size, pad=7, end=row.end, **clips))
        expected.append(joined(bd, span))
    taken, found = iter(joiner_runs(dut, items, give=give, take=take, seed=seed)), []
    for bd in split_bds(rows):
        runs, total = [], 0
        for given_run in taken:
            assert given_run.pad == 7
            total += given_run.low + given_run.size + given_run.high
            assert given_run.exists == (given_run.size > 0)
            if given_run.size:
                assert given_run.after == given_run.address + given_run.size
                runs.append((given_run.address, given_run.size))
            if given_run.end:
                break
        found.append(runs)
        assert total == sum(row.length for row in bd)
    assert found == expected
    assert next(taken, None) is None


def joiner_runs(dut, items, *, give, take, seed):
    """All that `dut` gives for `items`: it is not known before how many runs that are."""
    taken = []

    async def source(ctx):
        await feed(ctx, dut.i, items, stalls(give, seed))
        await ctx.tick().repeat(200)

    async def sink(ctx):
        pause = stalls(take, seed + 1)
        while True:
            taken.extend(await collect(ctx, dut.o, 1, pause))

    run(dut, [source], background=[sink, watch(dut.o)])
    return taken


def test_joiner_passes_an_only_run_at_once_and_a_run_a_cycle():
    dut = RunJoiner(address_bits=32, span=64)
    lone = [run_of(dut, 9, 5, end=1)] * 5
    assert offers(dut, lone, 6) == [(1, 1)] * 5 + [(0, 1)]
    apart = [run_of(dut, 100 * k, 8, end=k == 4) for k in range(5)]
    assert offers(dut, apart, 7) == [(0, 1)] + [(1, 1)] * 5 + [(0, 1)]
    touching = [run_of(dut, 16 * k, 16, end=k == 8) for k in range(9)]
    shown = [0, 0, 0, 0, 1, 0, 0, 0, 1, 1, 0]
    assert offers(dut, touching, 11) == [(offered, 1) for offered in shown]
    later = RunJoiner(address_bits=32, span=64, pipelined=True)
    assert offers(later, touching, 12) == [(0, 1)] + [(offered, 1) for offered in shown]


@pytest.mark.parametrize("pipelined", [False, True])
def test_joiner_joins_the_longest_rows(pipelined):
    longest, span = (1 << 24) - 1, 1024
    dut = RunJoiner(address_bits=32, span=span, pipelined=pipelined)
    starts = [1000, 1000 + span, 1000 + span + longest]
    items = [
        run_of(dut, starts[0], span),
        run_of(dut, starts[1], longest),
        run_of(dut, starts[2], 5, end=1),
    ]
    found = joiner_runs(dut, items, give=0, take=0, seed=0)
    cuts = [1000, span, starts[2] // span * span, starts[2] + 5]
    assert [(r.address, r.size) for r in found] == [
        (start, stop - start) for start, stop in pairwise(cuts)
    ]


RUN = st.tuples(st.integers(0, 70), st.integers(0, 70), st.integers(0, 70), st.integers(0, 63))


@settings(max_examples=15, deadline=None)
@given(
    st.sampled_from([4, 16, 64]),
    st.lists(RUN.filter(lambda r: sum(r[:3]) > 0), min_size=1, max_size=6),
    STALL,
    STALL,
    st.integers(0, 99),
)
def test_cutter_gives_a_piece_for_each_beat(lanes, runs, give, take, seed):
    dut = RunCutter(address_bits=32, lanes=lanes)
    items, expected = [], []
    for k, (low, size, high, address) in enumerate(runs):
        fields = {"low": low, "size": size, "high": high, "address": address}
        items.append(dut.i.payload.shape().const(fields | {"pad": k, "end": 1}))

        def clipped(count):
            whole, rest = divmod(count, lanes)
            return [(0, 0, n) for n in [lanes] * whole + [rest] * (rest > 0)]

        places = [divmod(address + i, lanes) for i in range(size)]
        beats = sorted({beat for beat, _ in places})
        inside = [[lane for beat, lane in places if beat == b] for b in beats]
        found = clipped(low) + [(1, p[0], len(p)) for p in inside] + clipped(high)
        expected += [(*piece, k, j == len(found) - 1) for j, piece in enumerate(found)]
    taken = through(dut, items, give=give, take=take, seed=seed, count=len(expected))
    assert [(p.exists, p.lane, p.count, p.pad, bool(p.end)) for p in taken] == expected


def test_cutter_passes_a_piece_a_cycle():
    dut = RunCutter(address_bits=32, lanes=8)
    run_fields = {"low": 9, "size": 8, "high": 3, "address": 5}
    item = dut.i.payload.shape().const(run_fields)
    assert [offered for offered, _ in offers(dut, [item] * 3, 17)] == [0] + [1] * 15 + [0]


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 9), st.integers(1, 40), STALL, STALL, st.integers(0, 99))
def test_buffer_keeps_the_order(depth, count, give, take, seed):
    dut = BeatBuffer(8, depth=depth)
    assert through(dut, range(count), give=give, take=take, seed=seed) == list(range(count))


def test_buffer_passes_a_payload_a_cycle_two_cycles_later():
    seen = offers(BeatBuffer(8, depth=2), range(20), 20)
    assert seen == [(t >= 2, 1) for t in range(20)]


def test_buffer_without_room_is_refused():
    with pytest.raises(ValueError, match="at least 1 payload, not 0"):
        BeatBuffer(8, depth=0)
