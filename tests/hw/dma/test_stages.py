"""The stages of a DRAM port one by one: shaper, legalizer, cutter, buffer."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.bench import collect, feed, run, stalls, watch
from support.dram_rows import row_payload, rows
from weft.hw.dma.buffer import BeatBuffer
from weft.hw.dma.cutter import RunCutter
from weft.hw.dma.legalizer import BurstLegalizer
from weft.hw.dma.shaper import RunShaper
from weft.sim.golden.dma import Guard, Row, bursts

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
@given(st.lists(rows(guards=3), min_size=1, max_size=12), STALL, STALL, st.integers(0, 99))
def test_shaper_finds_the_bytes_that_exist(wanted, give, take, seed):
    dut = RunShaper(address_bits=64, guards=3)
    items = [row_payload(dut.i.payload.shape(), row) for row in wanted]
    taken = through(dut, items, give=give, take=take, seed=seed)
    for row, shaped in zip(wanted, taken, strict=True):
        present = row.present
        assert shaped.size == len(present)
        assert shaped.low + shaped.size + shaped.high == row.length
        assert (shaped.pad, shaped.end) == (row.pad, row.end)
        if present:
            assert shaped.low == present[0]
            assert shaped.address == row.address + present[0]


@pytest.mark.parametrize("length", [1, (1 << 24) - 1])
@pytest.mark.parametrize("value", [-(1 << 31), -1, 0, (1 << 31) - 1])
@pytest.mark.parametrize("limit", [0, 1, (1 << 31) - 1])
def test_shaper_at_the_extremes(length, value, limit):
    dut = RunShaper(address_bits=32, guards=1)
    row = Row(address=64, length=length, guards=(Guard(value=value, limit=limit, run=True),))
    shaped = through(dut, [row_payload(dut.i.payload.shape(), row)])[0]
    begin, stop = max(0, -value), min(length, limit - value)
    assert shaped.size == max(0, stop - begin)
    assert shaped.low == (begin if stop > begin else length)


def test_shaper_passes_a_row_a_cycle_two_cycles_later():
    dut = RunShaper(address_bits=64, guards=0)
    item = row_payload(dut.i.payload.shape(), Row(address=3, length=5))
    assert offers(dut, [item] * 20, 20) == [(t >= 2, 1) for t in range(20)]


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
)
def test_legalizer_gives_the_bursts_of_the_definition(shape, spans, give, take, seed):
    width, cap = shape
    dut = BurstLegalizer(address_bits=64, data_bits=width, burst_beats=cap)
    spans = [(base + offset, size // (1 if cap > 8 else 8) + 1) for base, offset, size in spans]
    items = [
        dut.i.payload.shape().const({"address": a, "size": s, "end": k % 2})
        for k, (a, s) in enumerate(spans)
    ]
    expected = []
    for k, (address, size) in enumerate(spans):
        found = bursts(address, size, width // 8, cap)
        expected += [(a, n, k % 2 == 1 and j == len(found) - 1) for j, (a, n) in enumerate(found)]
    taken = through(dut, items, give=give, take=take, seed=seed, count=len(expected))
    assert [(b.addr, b.len + 1, bool(b.end)) for b in taken] == expected
    assert not any(b.none for b in taken)


def test_legalizer_names_an_end_without_a_burst():
    dut = BurstLegalizer(address_bits=64, data_bits=64, burst_beats=16)
    shape = dut.i.payload.shape()
    spans = [{"address": 7, "size": 0, "end": 1}, {"address": 7, "size": 2, "end": 0}]
    empty, burst = through(dut, [shape.const(span) for span in spans])
    assert (empty.none, empty.end) == (1, 1)
    assert (burst.none, burst.addr, burst.len, burst.end) == (0, 0, 1, 0)


def test_legalizer_passes_a_burst_a_cycle():
    dut = BurstLegalizer(address_bits=64, data_bits=64, burst_beats=4)
    spans = [dut.i.payload.shape().const({"address": 0, "size": s}) for s in (96, 8, 8, 64)]
    seen = offers(dut, spans, 9)
    assert [offered for offered, _ in seen] == [0] + [1] * 7 + [0]
    assert [accepted for _, accepted in seen] == [1, 0, 0, 1, 1, 1, 0, 1, 1]


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
