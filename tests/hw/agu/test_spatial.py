from typing import Any

import pytest
from amaranth.back import verilog
from hypothesis import given, settings
from hypothesis import strategies as st

from support.bench import collect, feed, run, stalls, watch
from weft.hw.agu import SpatialAgu
from weft.hw.bus.fault import TAG_BITS, FaultCode
from weft.hw.config import MemoryConfig, MoverConfig
from weft.hw.errors import ConfigError
from weft.hw.mover.descriptor import scratchpad_settings
from weft.sim.golden import agu as golden

PROBABILITY = st.floats(0, 0.9)
SMALL = MemoryConfig(banks=8, bank_bits=32, rows=16, groups=(8, 4, 1))


def reader(
    bounds: tuple[int, ...], reach: int = 0, guards: int = 0, enable: bool = False
) -> MoverConfig:
    return MoverConfig(
        name="R",
        kind="read",
        bind="export",
        spatial_bounds=bounds,
        reach=reach,
        guards=guards,
        channel_enable=enable,
    )


def build(memory: MemoryConfig, mover: MoverConfig) -> SpatialAgu:
    layout = scratchpad_settings(memory, mover)
    return SpatialAgu(memory=memory, mover=mover, settings=layout)


def row(address: int, strides: list[int], mode: int = 0, **fields: Any) -> dict[str, Any]:
    """A row for `check`; its `windows` are those of a mover with as many guards."""
    chosen = {
        "tag": fields.pop("tag", 0),
        "mode": mode,
        "pad": fields.pop("pad", 0),
        "spatial_strides": strides,
    }
    return {"address": address, "mark": 0, "end": 0, "settings": chosen, "windows": ()} | fields


def coded(mover: MoverConfig, given_row: dict[str, Any]) -> dict[str, Any]:
    """`given_row` as the unit takes it."""
    windows = given_row["windows"]
    assert len(windows) == mover.guards
    taken = {name: value for name, value in given_row.items() if name != "windows"}
    if windows:
        taken["guards"] = [window.value for window in windows]
        taken["address"] %= 4 * SMALL.bytes
        taken["settings"] = taken["settings"] | {
            "limits": [window.limit for window in windows],
            "coefficients": [window.coefficient for window in windows],
        }
        if len(mover.spatial_bounds) > 1:
            taken["settings"]["dimensions"] = [window.dimension for window in windows]
    return taken


def verdict(
    memory: MemoryConfig, mover: MoverConfig, given_row: dict[str, Any]
) -> tuple[dict[str, Any], tuple[FaultCode, int] | None]:
    """By the golden model: the row that leaves (skipped channels without a place), the fault."""
    chosen = given_row["settings"]
    group = memory.groups[chosen["mode"]]
    spread = (mover.spatial_bounds, chosen["spatial_strides"], given_row["address"])
    addresses = golden.channel_addresses(*spread)
    enabled = chosen.get("channels", golden.ALL)
    codes = golden.flaws(memory, *spread, group, mover.reach, given_row["windows"], enabled)
    exists = golden.existing(mover.spatial_bounds, given_row["windows"], enabled)
    failing = [(code, at) for code, at in zip(codes, addresses, strict=True) if code]
    leaves = {
        "channels": [
            golden.locate(memory, address // memory.word_bytes, group)
            if there and not code
            else None
            for there, code, address in zip(exists, codes, addresses, strict=True)
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
    given = [coded(mover, each) for each in rows]
    for number, each in enumerate(given):
        each["settings"] = each["settings"] | {"tag": number % (1 << TAG_BITS)}
    taken: list[Any] = []
    faults: list[tuple[int, int, int]] = []

    async def source(ctx):
        faults.clear()
        await feed(ctx, dut.i, given, stalls(give, seed))

    async def sink(ctx):
        taken[:] = await collect(ctx, dut.o, len(rows), stalls(take, seed + 1))
        await ctx.tick().repeat(4)  # the last fault comes after its row

    async def reports(ctx):
        while True:
            _, _, fault = await ctx.tick().sample(dut.fault)
            if fault.code:
                faults.append((fault.code, fault.address, fault.tag))

    run(dut, [source, sink], background=[watch(dut.o), reports], limit=5_000)
    wanted = [verdict(memory, mover, each) for each in rows]
    assert [taken_row(each, mover.channels) for each in taken] == [leaves for leaves, _ in wanted]
    assert faults == [
        (*fault, number % (1 << TAG_BITS)) for number, (_, fault) in enumerate(wanted) if fault
    ]


@st.composite
def windows(draw: st.DrawFn, bounds: tuple[int, ...]) -> golden.Window:
    """Most of them with a border among the channels, some with numbers at their extremes."""
    dimension = draw(st.integers(0, len(bounds) - 1))
    steep = draw(st.booleans())
    coefficient = draw(st.integers(-(1 << 15), (1 << 15) - 1) if steep else st.integers(-3, 3))
    limit = draw(st.one_of(st.integers(0, 12), st.sampled_from([(1 << 31) - 1])))
    border = draw(st.sampled_from([0, limit])) - coefficient * draw(
        st.integers(0, bounds[dimension])
    )
    value = draw(
        st.one_of(
            st.integers(-2, 2).map(lambda off: border + off),
            st.integers(-(1 << 31), (1 << 31) - 1),
        )
    )
    return golden.Window(
        value=min(max(value, -(1 << 31)), (1 << 31) - 1),
        limit=limit,
        coefficient=coefficient,
        dimension=dimension,
    )


@st.composite
def workloads(
    draw: st.DrawFn, guards: int = 0, enable: bool = False
) -> tuple[MoverConfig, list[dict[str, Any]]]:
    """Movers of a few channels, and rows most of which are legal."""
    bounds = draw(st.sampled_from([(1,), (4,), (8,), (4, 8), (4, 2), (3, 5), (2, 3, 2), (1, 7)]))
    if enable:
        bounds = draw(st.sampled_from([(1,), (4, 2), (4, 8), (11, 3), (8, 5)]))
    mover = reader(bounds, draw(st.sampled_from([0, 0, 1, 2, 8])), guards, enable)
    word, limit = SMALL.word_bytes, SMALL.bytes
    stride = st.one_of(
        st.integers(-8, 8).map(lambda words: words * word),
        st.sampled_from([word, 0]),
        st.integers(-limit, limit - 1),
    )
    address = st.one_of(
        st.integers(0, limit // word - 1).map(lambda words: words * word),
        st.integers(-2 * limit if guards else 0, 2 * limit - 1),
    )
    rows = [
        row(
            draw(address),
            [draw(stride) for _ in bounds],
            draw(st.sampled_from(SMALL.modes(mover.reach))),
            pad=draw(st.integers(0, 255)),
            mark=draw(st.integers(0, 1)),
            end=draw(st.integers(0, 1)),
            windows=tuple(draw(windows(bounds)) for _ in range(guards)),
        )
        for _ in range(draw(st.integers(1, 12)))
    ]
    for each in rows if enable else ():
        each["settings"]["channels"] = draw(st.integers(0, (1 << mover.channels) - 1))
    return mover, rows


@settings(max_examples=50, deadline=None)
@given(workload=workloads(), give=PROBABILITY, take=PROBABILITY, seed=st.integers(0, 1000))
def test_channels_and_faults_are_those_of_the_sums(
    workload: tuple[MoverConfig, list[dict[str, Any]]], give: float, take: float, seed: int
) -> None:
    check(SMALL, *workload, give, take, seed)


@settings(max_examples=15, deadline=None)
@given(data=st.data(), give=PROBABILITY, take=PROBABILITY, seed=st.integers(0, 1000))
def test_a_channel_outside_a_window_is_skipped_and_asked_nothing(
    data: st.DataObject, give: float, take: float, seed: int
) -> None:
    check(SMALL, *data.draw(workloads(data.draw(st.integers(1, 4)))), give, take, seed)


@settings(max_examples=15, deadline=None)
@given(data=st.data(), give=PROBABILITY, take=PROBABILITY, seed=st.integers(0, 1000))
def test_a_channel_that_is_not_enabled_is_skipped_and_asked_nothing(
    data: st.DataObject, give: float, take: float, seed: int
) -> None:
    """Above the 32nd too, with guards and without."""
    check(SMALL, *data.draw(workloads(data.draw(st.integers(0, 2)), True)), give, take, seed)


def test_a_row_with_guards_may_begin_on_either_side_of_the_scratchpad() -> None:
    """The channels that come back are accessed, and a wrong one is reported where it truly is."""
    limit = SMALL.bytes
    inner = golden.Window(value=-2, limit=2, coefficient=1)
    all_of_them = golden.Window(value=0, limit=1)
    rows = [
        row(-8, [4], windows=(inner,)),
        row(limit + 4, [-4], windows=(inner,)),
        row(-8, [4], windows=(all_of_them,)),
        row(2 * limit - 4, [-limit], windows=(all_of_them,)),
        row(-2 * limit, [limit - 4], windows=(all_of_them,)),
    ]
    check(SMALL, reader((4,), guards=1), rows)
    assert [verdict(SMALL, reader((4,), guards=1), each)[1] for each in rows] == [
        None,
        None,
        (FaultCode.ADDRESS_RANGE, -8),
        (FaultCode.ADDRESS_RANGE, 2 * limit - 4),
        (FaultCode.ADDRESS_RANGE, -2 * limit),
    ]


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
    """Reported once, three cycles after the row has been taken, however long that is stalled."""
    dut = build(SMALL, reader((4,), reach=4))
    reports = []

    async def source(ctx):
        await feed(ctx, dut.i, [coded(dut.mover, row(address, [stride], tag=5))])
        for time in range(8):
            ctx.set(dut.o.ready, time >= 3)
            _, _, *report = await ctx.tick().sample(dut.o.valid, dut.fault.code, dut.fault.address)
            reports.append(tuple(report))
        assert ctx.get(dut.fault.named)
        assert ctx.get(dut.fault.tag) == 5

    run(dut, [source])
    assert [report[:2] for report in reports[:4]] == [(1, 0)] * 4
    assert [report[:2] for report in reports[4:6]] == [(0, 0)] * 2
    assert reports[6] == (0, code, where)
    assert reports[7][:2] == (0, 0)


def test_a_row_a_cycle_a_cycle_later() -> None:
    dut = build(SMALL, reader((4, 2)))
    cycles = []

    async def source(ctx):
        await feed(ctx, dut.i, [coded(dut.mover, row(4 * index, [4, 16])) for index in range(20)])

    async def sink(ctx):
        ctx.set(dut.o.ready, 1)
        for cycle in range(24):
            _, _, valid = await ctx.tick().sample(dut.o.valid)
            if valid:
                cycles.append(cycle)

    run(dut, [source, sink])
    assert cycles == list(range(1, 21))


@pytest.mark.parametrize("pause", [0, 1, 3])
def test_a_stalled_unit_holds_a_row(pause: int) -> None:
    dut = build(SMALL, reader((4,)))
    accepted = []

    async def source(ctx):
        await feed(ctx, dut.i, [coded(dut.mover, row(0, [4]))])
        for _ in range(pause):
            await ctx.tick()
        ctx.set(dut.i.valid, 1)
        for _ in range(5):
            _, _, ready = await ctx.tick().sample(dut.i.ready)
            accepted.append(ready)

    run(dut, [source])
    assert accepted == [0] * 5


def test_a_dram_mover_is_refused() -> None:
    mover = MoverConfig(name="M", kind="mm2s", bind="Y")
    with pytest.raises(ConfigError, match=r"movers\.M\.kind = 'mm2s': only a scratchpad mover"):
        SpatialAgu(memory=SMALL, mover=mover, settings=scratchpad_settings(SMALL, mover))


def test_settings_of_other_dimensions_are_refused() -> None:
    layout = scratchpad_settings(SMALL, reader((4,)))
    with pytest.raises(ConfigError, match=r"movers\.R\.spatial_bounds = \(4, 2\): .* 1 spatial"):
        SpatialAgu(memory=SMALL, mover=reader((4, 2)), settings=layout)


@pytest.mark.parametrize("guards", [0, 2])
def test_it_becomes_verilog(guards: int) -> None:
    assert "module top" in verilog.convert(build(SMALL, reader((4, 8), reach=8, guards=guards)))
