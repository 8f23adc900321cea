from typing import Any

import pytest
from amaranth.back import verilog
from amaranth.hdl import signed
from amaranth.lib import data
from hypothesis import given, settings
from hypothesis import strategies as st

from support.bench import collect, feed, run, stalls, watch
from weft.hw.agu import SpatialAgu
from weft.hw.bus.fault import FaultCode
from weft.hw.config import MemoryConfig, MoverConfig
from weft.hw.errors import ConfigError
from weft.sim.golden import agu as golden

PROBABILITY = st.floats(0, 0.9)
SMALL = MemoryConfig(banks=8, bank_bits=32, rows=16, groups=(8, 4, 1))


def reader(bounds: tuple[int, ...], reach: int = 0) -> MoverConfig:
    return MoverConfig(name="R", kind="read", bind="export", spatial_bounds=bounds, reach=reach)


def settings_layout(memory: MemoryConfig, dimensions: int) -> data.StructLayout:
    return data.StructLayout(
        {
            "mode": range(max(len(memory.groups), 2)),
            "pad": 8,
            "slot": 6,
            "spatial_strides": data.ArrayLayout(signed(memory.address_bits + 1), dimensions),
        }
    )


def build(memory: MemoryConfig, mover: MoverConfig) -> SpatialAgu:
    layout = settings_layout(memory, len(mover.spatial_bounds))
    return SpatialAgu(memory=memory, mover=mover, settings=layout)


def row(address: int, strides: list[int], mode: int = 0, **fields: Any) -> dict[str, Any]:
    chosen = {
        "slot": fields.pop("slot", 0),
        "mode": mode,
        "pad": fields.pop("pad", 0),
        "spatial_strides": strides,
    }
    return {"address": address, "mark": 0, "end": 0, "settings": chosen} | fields


def verdict(
    memory: MemoryConfig, mover: MoverConfig, given_row: dict[str, Any]
) -> tuple[dict[str, Any], tuple[FaultCode, int] | None]:
    """By the golden model: the row that leaves (skipped channels without a place), the fault."""
    chosen = given_row["settings"]
    group = memory.groups[chosen["mode"]]
    spread = (mover.spatial_bounds, chosen["spatial_strides"], given_row["address"])
    addresses = golden.channel_addresses(*spread)
    codes = golden.flaws(memory, *spread, group, mover.reach)
    failing = [(code, at) for code, at in zip(codes, addresses, strict=True) if code]
    leaves = {
        "channels": [
            None if code else golden.locate(memory, address // memory.word_bytes, group)
            for code, address in zip(codes, addresses, strict=True)
        ],
        "pad": chosen["pad"],
        "mark": given_row["mark"],
        "end": given_row["end"],
        "error": int(bool(failing)),
    }
    return leaves, failing[0] if failing else None


def taken_row(payload: Any, channels: int) -> dict[str, Any]:
    each = [payload.channels[channel] for channel in range(channels)]
    return {
        "channels": [None if place.skip else (place.bank, place.row) for place in each],
        "pad": payload.pad,
        "mark": payload.mark,
        "end": payload.end,
        "error": payload.error,
    }


def check(
    memory: MemoryConfig,
    mover: MoverConfig,
    rows: list[dict[str, Any]],
    give: float = 0.0,
    take: float = 0.0,
    seed: int = 0,
) -> None:
    """Run `rows` through the unit: what leaves and what is reported is the golden model's."""
    dut = build(memory, mover)
    taken: list[Any] = []
    faults: list[tuple[int, int]] = []

    async def source(ctx):
        faults.clear()
        await feed(ctx, dut.i, rows, stalls(give, seed))

    async def sink(ctx):
        taken[:] = await collect(ctx, dut.o, len(rows), stalls(take, seed + 1))
        await ctx.tick().repeat(2)  # the last fault comes after its row

    async def reports(ctx):
        while True:
            _, _, code, address = await ctx.tick().sample(dut.fault.code, dut.fault.address)
            if code:
                faults.append((code, address))

    run(dut, [source, sink], background=[watch(dut.o), reports], limit=5_000)
    wanted = [verdict(memory, mover, each) for each in rows]
    assert [taken_row(each, mover.channels) for each in taken] == [leaves for leaves, _ in wanted]
    assert faults == [(fault[0], fault[1] % (1 << 64)) for _, fault in wanted if fault]


@st.composite
def workloads(draw: st.DrawFn) -> tuple[MoverConfig, list[dict[str, Any]]]:
    """Movers of a few channels, and rows most of which are legal."""
    bounds = draw(st.sampled_from([(1,), (4,), (8,), (4, 8), (4, 2), (3, 5), (2, 3, 2), (1, 7)]))
    mover = reader(bounds, draw(st.sampled_from([0, 0, 1, 2, 8])))
    word, limit = SMALL.word_bytes, SMALL.bytes
    stride = st.one_of(
        st.integers(-8, 8).map(lambda words: words * word),
        st.sampled_from([word, 0]),
        st.integers(-limit, limit - 1),
    )
    address = st.one_of(
        st.integers(0, limit // word - 1).map(lambda words: words * word),
        st.integers(0, 2 * limit - 1),
    )
    rows = [
        row(
            draw(address),
            [draw(stride) for _ in bounds],
            draw(st.integers(0, len(SMALL.groups) - 1)),
            pad=draw(st.integers(0, 255)),
            mark=draw(st.integers(0, 1)),
            end=draw(st.integers(0, 1)),
        )
        for _ in range(draw(st.integers(1, 12)))
    ]
    return mover, rows


@settings(max_examples=50, deadline=None)
@given(workload=workloads(), give=PROBABILITY, take=PROBABILITY, seed=st.integers(0, 1000))
def test_channels_and_faults_are_those_of_the_sums(
    workload: tuple[MoverConfig, list[dict[str, Any]]], give: float, take: float, seed: int
) -> None:
    check(SMALL, *workload, give, take, seed)


@pytest.mark.parametrize("bounds", [(64,), (3, 13), (5, 3, 4)])
def test_every_multiple_of_a_stride_is_right(bounds: tuple[int, ...]) -> None:
    """Address and strides at their extremes, where a bit too few would wrap back into range."""
    limit = SMALL.bytes
    extremes = [-limit, -limit + 4, -4, 4, limit // 2, limit - 4]
    rows = [
        row(at, [s] * len(bounds)) for at in (0, limit - 4, limit, 2 * limit - 4) for s in extremes
    ]
    check(SMALL, reader(bounds), rows)


@pytest.mark.parametrize(
    ("address", "stride", "code", "where"),
    [
        (SMALL.bytes - 16, 20, FaultCode.ADDRESS_RANGE, SMALL.bytes + 4),
        (SMALL.bytes, -4, FaultCode.ADDRESS_RANGE, SMALL.bytes),
        (0, -4, FaultCode.ADDRESS_RANGE, -4),
        (0, 2, FaultCode.ALIGNMENT, 2),
        (2, 4, FaultCode.ALIGNMENT, 2),
        (4, 4, FaultCode.REACH, 4),
        (0, 8, FaultCode.REACH, 8),
    ],
)
def test_the_lowest_failing_channel_is_reported(
    address: int, stride: int, code: FaultCode, where: int
) -> None:
    """Reported once, a cycle after the row has come to `o`, however long that is stalled."""
    dut = build(SMALL, reader((4,), reach=4))
    reports = []

    async def source(ctx):
        await feed(ctx, dut.i, [row(address, [stride], slot=5)])
        for _ in range(6):
            _, _, *report = await ctx.tick().sample(dut.o.valid, dut.fault.code, dut.fault.address)
            reports.append(tuple(report))
        assert ctx.get(dut.fault.named)
        assert ctx.get(dut.fault.descriptor) == 5

    run(dut, [source])
    assert reports[0] == (0, 0, 0)
    assert reports[1] == (1, 0, 0)
    assert reports[2] == (1, code, where % (1 << 64))
    assert [report[:2] for report in reports[3:]] == [(1, 0)] * 3


def test_a_row_a_cycle_two_cycles_later() -> None:
    dut = build(SMALL, reader((4, 2)))
    cycles = []

    async def source(ctx):
        await feed(ctx, dut.i, [row(4 * index, [4, 16]) for index in range(20)])

    async def sink(ctx):
        ctx.set(dut.o.ready, 1)
        for cycle in range(24):
            _, _, valid = await ctx.tick().sample(dut.o.valid)
            if valid:
                cycles.append(cycle)

    run(dut, [source, sink])
    assert cycles == list(range(2, 22))


@pytest.mark.parametrize("pause", [0, 1, 3])
def test_a_stalled_unit_holds_two_rows(pause: int) -> None:
    dut = build(SMALL, reader((4,)))
    accepted = []

    async def source(ctx):
        await feed(ctx, dut.i, [row(0, [4])])
        for _ in range(pause):
            await ctx.tick()
        ctx.set(dut.i.valid, 1)
        for _ in range(5):
            _, _, ready = await ctx.tick().sample(dut.i.ready)
            accepted.append(ready)

    run(dut, [source])
    assert accepted == [1, 0, 0, 0, 0]


def test_a_dram_mover_is_refused() -> None:
    mover = MoverConfig(name="M", kind="mm2s", bind="Y")
    with pytest.raises(ConfigError, match=r"movers\.M\.kind = 'mm2s': only a scratchpad mover"):
        SpatialAgu(memory=SMALL, mover=mover, settings=settings_layout(SMALL, 0))


def test_settings_of_other_dimensions_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"movers\.R\.spatial_bounds = \(4, 2\): .* 1 spatial"):
        SpatialAgu(memory=SMALL, mover=reader((4, 2)), settings=settings_layout(SMALL, 1))


def test_it_becomes_verilog() -> None:
    assert "module top" in verilog.convert(build(SMALL, reader((4, 8), reach=8)))
