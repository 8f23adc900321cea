"""The front of a DRAM port: each run goes two ways, and neither way loses, doubles or swaps one."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.bench import collect, feed, run, stalls, watch
from support.dram_rows import bds, row_payload, split_bds
from weft.hw.config import DmaConfig
from weft.hw.dma.planner import RunPlanner
from weft.sim.golden.dma import Row, bursts, joined

STALL = st.sampled_from([0.0, 0.3, 0.9])
LANES, CAP = 4, 4


def planner(*, guards=0, depth=4, address_bits=64, ends=True, pipelined=False):
    dma = DmaConfig(data_bits=8 * LANES, burst_beats=CAP, pipelined=pipelined)
    return RunPlanner(dma=dma, guards=guards, depth=depth, address_bits=address_bits, ends=ends)


def on_the_bus(bd, ends):
    """The bursts of a BD, as (address, beats, end, none)."""
    runs = joined(bd, CAP * LANES)
    found = [(*burst, 0, 0) for one in runs for burst in bursts(*one, LANES, CAP)]
    if bd[-1].present:
        found[-1] = (*found[-1][:2], 1, 0)
    elif ends:
        found.append((0, 0, 1, 1))
    return found


def in_the_lanes(bd):
    """A BD's beats, as (address of the run, first lane, bytes), in their order."""
    found = []
    for start, length in joined(bd, CAP * LANES):
        places = range(start, start + length)
        for beat in range(start // LANES, (start + length - 1) // LANES + 1):
            inside = [place % LANES for place in places if place // LANES == beat]
            found.append((start, inside[0], len(inside)))
    return found


def in_the_stream(bd):
    """A BD's bytes in their order: the lane of one that exists, the pad of one that does not."""
    return [
        (row.exists(i), (row.address + i) % LANES if row.exists(i) else row.pad)
        for row in bd
        for i in range(row.length)
    ]


@settings(max_examples=8, deadline=None)
@given(
    guards=st.sampled_from([0, 2]),
    depth=st.sampled_from([1, 2, 8]),
    address_bits=st.sampled_from([2, 64]),
    ends=st.booleans(),
    pipelined=st.booleans(),
    stalled=st.tuples(STALL, STALL, STALL),
    seed=st.integers(0, 99),
    drawn=st.data(),
)
def test_each_run_goes_both_ways(
    guards, depth, address_bits, ends, pipelined, stalled, seed, drawn
):
    rows = drawn.draw(bds(guards=guards, longest=60))
    dut = planner(
        guards=guards, depth=depth, address_bits=address_bits, ends=ends, pipelined=pipelined
    )
    items = [row_payload(dut.i.payload.shape(), row) for row in rows]
    groups = split_bds(rows)
    to_bus = [burst for bd in groups for burst in on_the_bus(bd, ends)]
    seen, pieces = [], []
    give, *take = (stalls(probability, (seed, k)) for k, probability in enumerate(stalled))

    async def source(ctx):
        seen.clear()
        pieces.clear()
        await feed(ctx, dut.i, items, give)
        while len(seen) < len(to_bus) or sum(piece.end for piece in pieces) < len(groups):
            await ctx.tick()
        await ctx.tick().repeat(40)  # whatever else there may be

    def gather(stream, taken, pause):
        async def sink(ctx):
            while True:
                taken.extend(await collect(ctx, stream, 1, pause))

        return sink

    sinks = [gather(dut.bursts, seen, take[0]), gather(dut.pieces, pieces, take[1])]
    watches = [watch(dut.bursts, "bursts"), watch(dut.pieces, "pieces")]
    run(dut, [source], background=[*sinks, *watches], limit=20_000)

    shown = [(0 if b.none else b.addr, 0 if b.none else b.len + 1, b.end, b.none) for b in seen]
    assert shown == to_bus
    given_pieces = iter(pieces)
    for bd in groups:
        stream, beats = [], []
        for piece in given_pieces:
            if piece.exists:
                stream += [(True, piece.lane + k) for k in range(piece.count)]
                beats.append((piece.address, piece.lane, piece.count))
            else:
                stream += [(False, piece.pad)] * piece.count
            if piece.end:
                break
        assert stream == in_the_stream(bd)
        mask = (1 << address_bits) - 1
        assert beats == [(start & mask, *where) for start, *where in in_the_lanes(bd)]
    assert next(given_pieces, None) is None


@pytest.mark.parametrize("pipelined", [False, True])
def test_a_piece_comes_two_cycles_behind_its_run_or_four(pipelined):
    dut, first = planner(pipelined=pipelined), {}
    row = row_payload(dut.i.payload.shape(), Row(address=0, length=4, end=True))

    async def sink(ctx):
        ctx.set(dut.bursts.ready, 1)
        ctx.set(dut.pieces.ready, 1)
        for cycle in range(12):
            _, _, burst, piece = await ctx.tick().sample(dut.bursts.valid, dut.pieces.valid)
            for name, valid in (("burst", burst), ("piece", piece)):
                if valid:
                    first.setdefault(name, cycle)

    async def source(ctx):
        await feed(ctx, dut.i, [row])

    run(dut, [sink], background=[source])
    # Pipelined, the joiner takes a cycle, and a burst two more than its span.
    assert first == ({"burst": 3, "piece": 5} if pipelined else {"burst": 0, "piece": 2})


@pytest.mark.parametrize(("pipelined", "registers"), [(False, 1), (True, 5)])
def test_bursts_stop_when_no_run_has_room(pipelined, registers):
    """One waits in the cutter, and two in each of its registers."""
    dut, taken = planner(depth=3, pipelined=pipelined), []
    rows = [Row(address=64 * k, length=1, end=True) for k in range(20)]
    items = [row_payload(dut.i.payload.shape(), row) for row in rows]

    async def bus_alone(ctx):
        taken.clear()
        given = 0
        ctx.set(dut.i.valid, 1)
        ctx.set(dut.bursts.ready, 1)
        for _ in range(40):
            ctx.set(dut.i.payload, items[given])
            _, _, accepted, offered, burst = await ctx.tick().sample(
                dut.i.ready, dut.bursts.valid, dut.bursts.payload
            )
            given += accepted
            if offered:
                taken.append(burst.addr)

    run(dut, [bus_alone])
    assert taken == [64 * k for k in range(3 + registers)]
