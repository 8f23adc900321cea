from typing import Any

import numpy as np
import pytest
from amaranth.back import verilog
from amaranth.hdl import Module, Signal, signed, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from hypothesis import given, settings
from hypothesis import strategies as st

from support.bench import collect, feed, run, stalls, watch
from weft.hw.agu import TemporalAgu
from weft.hw.errors import ConfigError
from weft.sim.golden import agu as golden

PROBABILITY = st.floats(0, 0.9)


class Nested(wiring.Component):
    """An AGU beside the loops of the task that it runs, which come with the task."""

    def __init__(self, *, address_bits: int, loops: int, guards: int, settings: object) -> None:
        self.agu = TemporalAgu(
            address_bits=address_bits, loops=loops, guards=guards, settings=settings
        )
        self.loop = data.StructLayout(
            {
                "bound": unsigned(16),
                "delta": signed(min(address_bits, 32)),
                "guards": data.ArrayLayout(signed(32), guards),
            }
            if guards
            else {"bound": unsigned(16), "delta": signed(min(address_bits, 32))}
        )
        task = self.agu.i.payload.shape()
        loops_of = data.StructLayout({"task": task, "loops": data.ArrayLayout(self.loop, loops)})
        super().__init__(
            {
                "i": In(stream.Signature(loops_of)),
                "o": Out(stream.Signature(self.agu.o.payload.shape())),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.agu = agu = self.agu
        loops = Signal.like(self.i.payload.loops)
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += loops.eq(self.i.payload.loops)
        wiring.connect(m, agu.o, wiring.flipped(self.o))
        now = Signal(self.loop)
        m.d.comb += [
            agu.i.payload.eq(self.i.payload.task),
            agu.i.valid.eq(self.i.valid),
            self.i.ready.eq(agu.i.ready),
            now.eq(loops[agu.level]),
            agu.step.bound.eq(now.bound),
            agu.step.two.eq(now.bound == 2),
            agu.step.delta.eq(now.delta),
        ]
        if agu.guards:
            m.d.comb += agu.step.guards.eq(now.guards)
        return m


def task(bounds: list[int], strides: list[int], **fields: Any) -> dict[str, Any]:
    """A task by strides, and its loops; `guards` is a list of (offset, coefficients)."""
    guards = fields.pop("guards", [])
    coded = {
        "empty": int(0 in bounds),
        "single": sum((bound == 1) << level for level, bound in enumerate(bounds)),
    }
    loops = [
        {"bound": bound, "delta": delta}
        for bound, delta in zip(bounds, golden.deltas(bounds, strides), strict=True)
    ]
    if guards:
        coded["guards"] = [offset for offset, _ in guards]
        steps = [golden.deltas(bounds, coefficients) for _, coefficients in guards]
        for level, loop in enumerate(loops):
            loop["guards"] = [wrapped(deltas[level], 32) for deltas in steps]
    return {"task": {"base": 0, "mark_level": 0, "settings": 0} | fields | coded, "loops": loops}


def wrapped(value: int, bits: int) -> int:
    """`value` as a signed number of `bits`."""
    return (value + (1 << bits - 1)) % (1 << bits) - (1 << bits - 1)


@st.composite
def workloads(draw: st.DrawFn) -> tuple[dict[str, int], list[dict[str, Any]]]:
    """Parameters of an AGU, and tasks by strides and guard coefficients, a few hundred rows."""
    loops = draw(st.integers(1, 8))
    guards = draw(st.integers(0, 2))
    address_bits = draw(st.sampled_from([5, 18, 32, 64]))
    count = draw(st.integers(1, 4))
    tasks = []
    for _ in range(count):
        bounds, rows = [], 1
        for bound in draw(
            st.lists(
                st.one_of(st.integers(1, 4), st.integers(0, 9)), min_size=loops, max_size=loops
            )
        ):
            bounds.append(bound if rows * bound <= 60 else 1)
            rows *= bounds[-1]
        # Any stride is legal in a wide address; a delta of `loops` of them must fit its field.
        stride = st.integers(-(1 << 20), 1 << 20) if address_bits > 18 else st.integers(-40, 40)
        numbers = st.lists(stride, min_size=loops, max_size=loops)
        tasks.append(
            {
                "bounds": bounds,
                "strides": draw(numbers),
                "base": draw(st.integers(0, (1 << address_bits) - 1)),
                "mark_level": draw(st.integers(0, 9)),
                "settings": draw(st.integers(0, 255)),
                "guards": [
                    (draw(st.integers(-(1 << 31), (1 << 31) - 1)), draw(numbers))
                    for _ in range(guards)
                ],
            }
        )
    return {"address_bits": address_bits, "loops": loops, "guards": guards}, tasks


def expected(tasks: list[dict[str, Any]], address_bits: int) -> list[dict[str, Any]]:
    """Rows of all `tasks` by the golden model."""
    result = []
    for each in tasks:
        bounds, strides = each["bounds"], each["strides"]
        marks = golden.marks(bounds, each["mark_level"])
        ends = golden.marks(bounds, len(bounds))
        guards = [golden.rows(bounds, numbers, offset) for offset, numbers in each["guards"]]
        # Offsets first: a base of 64 bits does not fit numpy's integers.
        for step, offset in enumerate(golden.rows(bounds, strides, 0)):
            result.append(
                {
                    "address": (each["base"] + int(offset)) % (1 << address_bits),
                    "guards": [wrapped(int(guard[step]), 32) for guard in guards],
                    "mark": bool(marks[step]),
                    "end": bool(ends[step]),
                    "first": step == 0,
                    "settings": each["settings"],
                }
            )
    return result


def fields(row: Any, guards: int) -> dict[str, Any]:
    return {
        "address": row.address,
        "guards": [row.guards[index] for index in range(guards)],
        "mark": bool(row.mark),
        "end": bool(row.end),
        "first": bool(row.first),
        "settings": row.settings,
    }


@settings(max_examples=60, deadline=None)
@given(workload=workloads(), give=PROBABILITY, take=PROBABILITY, seed=st.integers(0, 1000))
def test_rows_are_those_of_the_nested_loops(
    workload: tuple[dict[str, int], list[dict[str, Any]]], give: float, take: float, seed: int
) -> None:
    parameters, tasks = workload
    dut = Nested(**parameters, settings=8)
    wanted = expected(tasks, parameters["address_bits"])
    taken = []

    async def source(ctx):
        narrow = min(parameters["address_bits"], 32)
        coded = [task(**each) for each in tasks]
        for each in coded:
            for loop in each["loops"]:
                loop["delta"] = wrapped(loop["delta"], narrow)
        await feed(ctx, dut.i, coded, stalls(give, seed))

    async def sink(ctx):
        taken[:] = await collect(ctx, dut.o, len(wanted), stalls(take, seed + 1))
        for _ in range(5):
            assert not ctx.get(dut.o.valid), "a row too many"
            await ctx.tick()

    run(dut, [source, sink], background=[watch(dut.o)], limit=20_000)
    assert [fields(row, parameters["guards"]) for row in taken] == wanted


async def cycle_of_rows(ctx: Any, dut: Nested, count: int) -> list[int]:
    """Cycles in which `count` rows leave, an always ready sink; 0 is that of the first edge."""
    ctx.set(dut.o.ready, 1)
    cycles, cycle = [], 0
    while len(cycles) < count:
        _, _, valid = await ctx.tick().sample(dut.o.valid)
        if valid:
            cycles.append(cycle)
        cycle += 1
    return cycles


@pytest.mark.parametrize("loops", [1, 3, 8])
def test_no_bubble_between_iterations_or_tasks(loops: int) -> None:
    """The first row a cycle after its task, then a row every cycle, tasks of one row included."""
    dut = Nested(address_bits=18, loops=loops, guards=0, settings=1)
    bounds = [
        [1] * loops,
        [3] + [1] * (loops - 1),
        [1] * loops,
        [1] * (loops - 1) + [5],
        [2] * loops,
    ]
    rows = sum(int(np.prod(each)) for each in bounds)
    cycles = []

    async def source(ctx):
        await feed(ctx, dut.i, [task(each, [8] * loops) for each in bounds])

    async def sink(ctx):
        cycles[:] = await cycle_of_rows(ctx, dut, rows)

    run(dut, [source, sink])
    assert cycles == list(range(1, rows + 1))


def test_an_empty_task_costs_one_cycle() -> None:
    """Tasks of 2, 0, 0 and 1 rows: accepted in cycles 0, 2, 3 and 4."""
    dut = Nested(address_bits=18, loops=2, guards=0, settings=1)
    cycles = []

    async def source(ctx):
        bounds = [[2, 1], [0, 3], [3, 0], [1, 1]]
        await feed(ctx, dut.i, [task(each, [8, 8]) for each in bounds])

    async def sink(ctx):
        cycles[:] = await cycle_of_rows(ctx, dut, 3)

    run(dut, [source, sink])
    assert cycles == [1, 2, 5]


def test_the_longest_loop_counts_to_its_end() -> None:
    dut = Nested(address_bits=32, loops=1, guards=0, settings=1)
    last = []

    async def source(ctx):
        await feed(ctx, dut.i, [task([65535], [3])])
        ctx.set(dut.o.ready, 1)
        ended = dut.o.valid & dut.o.payload.end
        (row,) = await ctx.tick().sample(dut.o.payload).until(ended)
        last.append(row)

    run(dut, [source], limit=70_000)
    assert last[0].address == 65534 * 3


@pytest.mark.parametrize(
    ("field", "value", "rule"),
    [
        ("address_bits", 0, "from 1 to 64"),
        ("address_bits", 65, "from 1 to 64"),
        ("loops", 0, "from 1 to 8"),
        ("loops", 9, "from 1 to 8"),
        ("guards", 5, "from 0 to 4"),
        ("guards", -1, "from 0 to 4"),
    ],
)
def test_a_parameter_out_of_range_is_refused(field: str, value: int, rule: str) -> None:
    parameters = {"address_bits": 18, "loops": 3, "guards": 0} | {field: value}
    with pytest.raises(ConfigError, match=f"{field} = {value}: must be {rule}"):
        TemporalAgu(**parameters, settings=1)


def test_it_becomes_verilog() -> None:
    dut = TemporalAgu(address_bits=18, loops=6, guards=2, settings=8)
    assert "module top" in verilog.convert(dut)
