"""The core as its host and its port see it."""

from dataclasses import replace

import pytest
from amaranth.back import verilog
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from support.bench import collect, run, stalls, watch
from support.crossing import CROSSING
from support.movers import CoreHost, PortModel, encode, without_extensions
from support.pages import named_config, read, write
from weft.hw.bus.fault import FaultCode
from weft.hw.bus.registers import DESCRIPTOR_STORE
from weft.hw.mover import MoverCore, StallCause
from weft.hw.mover.core import IN_FLIGHT
from weft.sim.golden.mover import Bd, Task, executions

CONFIG = without_extensions(named_config("tiny"))


def single(loops: int, base: int = 64, operator: int = 0) -> Bd:
    """A BD of one row."""
    return Bd(base=base, bounds=(1,) * loops, strides=(0,) * loops, operator=operator)


def line(loops: int, rows: int, base: int = 0) -> Bd:
    """A BD of `rows` rows, 4 bytes apart."""
    return Bd(base=base, bounds=(rows, *(1,) * (loops - 1)), strides=(4, *(0,) * (loops - 1)))


MISSING = 50
"""A slot that no mover of the configuration has."""


@st.composite
def bds(draw, slot: int, loops: int, has_operator: bool):
    """A BD whose chain goes on to a later slot."""
    bounds = [1] * loops
    for _ in range(draw(st.integers(0, 2))):
        bounds[draw(st.integers(0, loops - 1))] = draw(st.integers(1, 4))
    if draw(st.integers(0, 5)) == 0:
        bounds[draw(st.integers(0, loops - 1))] = 0
    size = draw(st.sampled_from([0, 0, 1, 2, 3]))
    return Bd(
        base=draw(st.integers(1000, 2000)),
        bounds=tuple(bounds),
        strides=tuple(draw(st.lists(st.integers(-64, 64), min_size=loops, max_size=loops))),
        operator=draw(st.integers(0, 2**32 - 1)) if has_operator else 0,
        next=draw(st.sampled_from([None, None, *range(slot + 1, 4), MISSING])),
        iteration=(size, draw(st.integers(0, max(size - 1, 0))), draw(st.integers(-99, 99))),
        fault=draw(
            st.sampled_from(
                [0, 0, 0, 0, 0, FaultCode.INVALID, FaultCode.UNSUPPORTED, FaultCode.FIELD_RANGE]
            )
        ),
    )


def broken(bd: Bd) -> dict[str, int]:
    """Fields that make the hardware refuse `bd` with its fault."""
    return {
        0: {},
        FaultCode.INVALID: {"valid": 0, "record": 1},
        FaultCode.UNSUPPORTED: {"record": 1, "mode": 7},
        FaultCode.FIELD_RANGE: {"mode": 7},
    }[bd.fault]


# Not shrunk: a failure here takes minutes to minimise, and its draws read well as they are.
@settings(max_examples=8, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(data=st.data(), name=st.sampled_from(["A", "D", "X"]), seed=st.integers(0, 1000))
def test_tasks_run_and_retire_in_order(data, name: str, seed: int) -> None:
    host = CoreHost(CONFIG, name)
    dut, mover = host.core, CONFIG.mover(name)
    has_operator = dut.descriptor.has_operator
    slots = {slot: data.draw(bds(slot, mover.loops, has_operator)) for slot in range(4)}
    tasks = data.draw(
        st.lists(
            st.builds(
                Task,
                descriptor=st.sampled_from([0, 0, 0, 1, 1, 2, 2, 3, MISSING]),
                repeat=st.sampled_from([0, 0, 0, 1, 5]),
                interrupt=st.booleans(),
                base=st.sampled_from([None, None, 512]),
            ),
            min_size=1,
            max_size=8,
        )
    )
    chance = st.sampled_from([0.0, 0.4, 0.9])
    port = PortModel(dut, stall=data.draw(chance), delay=data.draw(st.integers(0, 30)), seed=seed)
    take = data.draw(chance)
    every = list(executions(tasks, slots, FaultCode.NO_DESCRIPTOR))
    expected = [run for run in every if run.addresses]
    operators: list[int] = []
    done: list[int] = []

    async def program(ctx):
        for slot, bd in slots.items():
            await host.store(
                ctx, slot, encode(dut.descriptor, bd, **{"pad": slot + 1} | broken(bd))
            )
        for task in tasks:
            while await host.value(ctx, "LEVEL") == mover.queue_depth:
                pass
            await host.push(ctx, task)
        await host.settled(ctx, len(tasks))
        assert await host.value(ctx, "REFUSED") == 0
        assert not ctx.get(dut.busy)
        fault = next((run for run in every if run.fault), None)
        assert await host.fields(ctx, "ERROR") == {
            "code": fault.fault if fault else 0,
            "descriptor": fault.descriptor if fault else 0,
        }
        status = await host.fields(ctx, "STATUS")
        assert status["error"] == bool(fault)
        assert (status["busy"], status["in_flight"]) == (0, 0)

    async def monitor(ctx):
        """How many executions had retired when each interrupt came."""
        done.clear()
        cycle = 0
        async for _, _, now in ctx.tick().sample(dut.done):
            if now:
                done.append(sum(retired < cycle for retired in port.retired))
            cycle += 1

    async def operator(ctx):
        operators[:] = await collect(ctx, dut.operator, len(expected), stalls(take, seed))

    run(
        dut,
        [program, operator] if has_operator else [program],
        background=[port.serve, monitor, watch(dut.port.rows, "rows")],
    )
    address_mask = (1 << dut.descriptor.address_bits) - 1
    assert port.executions == [
        (run.descriptor + 1, tuple(address & address_mask for address in run.addresses))
        for run in expected
    ]
    if has_operator:
        assert operators == [run.operator for run in expected]
    assert done == [
        sum(run.task <= number for run in expected)
        for number, task in enumerate(tasks)
        if task.interrupt
    ]


def test_a_push_shows_its_row_three_cycles_later() -> None:
    host = CoreHost(CONFIG, "B")
    rows, push = host.core.port.rows, host.page.register("PUSH")

    async def program(ctx):
        await host.store(ctx, 1, encode(host.core.descriptor, single(3, base=0x40)))
        ctx.set(host.bus.request, 1)
        ctx.set(host.bus.write, 1)
        ctx.set(host.bus.offset, push.offset)
        ctx.set(host.bus.write_data, push.pack(descriptor=1))
        for _ in range(3):
            assert not ctx.get(rows.valid)
            await ctx.tick()
            ctx.set(host.bus.request, 0)
        assert ctx.get(rows.valid)
        assert ctx.get(rows.payload.address) == 0x40

    run(host.core, [program])


def test_no_bubble_between_executions_and_tasks() -> None:
    host = CoreHost(CONFIG, "B")
    port = PortModel(host.core)
    tasks = [
        Task(descriptor=0),
        Task(descriptor=1, repeat=4),
        Task(descriptor=0),
        Task(descriptor=1),
    ]
    rows = 7 * 2 + 6

    async def program(ctx):
        await host.store(ctx, 0, encode(host.core.descriptor, line(3, 7)))
        await host.store(ctx, 1, encode(host.core.descriptor, single(3)))
        # The port is not run yet: its rows are not ready.
        for task in tasks:
            await host.push(ctx, task)
        await port.serve(ctx)

    async def check(ctx):
        while len(port.row_cycles) < rows:
            await ctx.tick()
        first = port.row_cycles[0]
        assert port.row_cycles == list(range(first, first + rows))

    run(host.core, [check], background=[program])


def test_a_bd_without_rows_waits_for_everything_before_it() -> None:
    host = CoreHost(CONFIG, "B")
    port = PortModel(host.core, delay=20, seed=3)
    empty = Bd(base=0, bounds=(1, 0, 1), strides=(0, 0, 0))

    async def program(ctx):
        await host.store(ctx, 0, encode(host.core.descriptor, line(3, 2)))
        await host.store(ctx, 1, encode(host.core.descriptor, empty))
        for slot in (0, 1, 0, 1, 0):
            await host.push(ctx, Task(descriptor=slot))
        await host.settled(ctx, 5)

    run(host.core, [program], background=[port.serve])
    first_rows, retired = port.row_cycles[0::2], port.retired
    assert first_rows[1] == retired[0] + 3
    assert first_rows[2] == retired[1] + 3


def test_a_full_queue_refuses_visibly() -> None:
    host = CoreHost(CONFIG, "B")
    depth = CONFIG.mover("B").queue_depth
    port = PortModel(host.core)
    pulses: list[int] = []

    async def program(ctx):
        await host.store(ctx, 0, encode(host.core.descriptor, line(3, 2)))
        # One task is loaded, one waits behind it in the address generator's place, the rest queue.
        for _ in range(depth + 2):
            await host.push(ctx, Task(descriptor=0))
        assert await host.value(ctx, "LEVEL") == depth
        assert await host.value(ctx, "REFUSED") == 0
        for count in (1, 2):
            await host.push(ctx, Task(descriptor=0))
            assert await host.value(ctx, "REFUSED") == count
            assert (await host.fields(ctx, "STATUS"))["refused"] == 1
        assert await host.value(ctx, "LEVEL") == depth
        await host.put(ctx, "CONTROL", clear_error=1)
        assert (await host.fields(ctx, "STATUS"))["refused"] == 0
        assert await host.value(ctx, "REFUSED") == 2
        ctx.set(release, 1)
        await host.settled(ctx, depth + 2)

    async def delayed_port(ctx):
        await ctx.tick().until(release)
        await port.serve(ctx)

    async def monitor(ctx):
        pulses.clear()
        async for _, _, refused in ctx.tick().sample(host.core.refused):
            pulses.append(refused)

    release = host.core.clear_counters  # any input that this test does not need
    run(host.core, [program], background=[delayed_port, monitor])
    assert sum(pulses) == 2
    assert len(port.executions) == depth + 2


def test_executions_in_flight_are_limited() -> None:
    host = CoreHost(CONFIG, "B")
    port = PortModel(host.core, paused=True)

    async def program(ctx):
        port.paused = True
        await host.store(ctx, 0, encode(host.core.descriptor, single(3)))
        await host.push(ctx, Task(descriptor=0, repeat=39))
        await ctx.tick().repeat(60)
        assert len(port.row_cycles) == IN_FLIGHT
        status = await host.fields(ctx, "STATUS")
        assert status["in_flight"] == IN_FLIGHT
        assert status["stall"] == StallCause.QUEUE
        port.paused = False
        await host.settled(ctx, 1)
        assert len(port.executions) == 40

    run(host.core, [program], background=[port.serve])


def test_a_full_side_queue_delays_and_drops_nothing() -> None:
    host = CoreHost(CONFIG, "A")
    port = PortModel(host.core)

    async def program(ctx):
        await host.store(ctx, 0, encode(host.core.descriptor, single(6, operator=0xA5)))
        await host.push(ctx, Task(descriptor=0, repeat=39))
        await ctx.tick().repeat(80)
        assert len(port.row_cycles) == IN_FLIGHT + 1  # words that wait
        words = await collect(ctx, host.core.operator, 40)
        assert words == [0xA5] * 40
        await host.settled(ctx, 1)

    run(host.core, [program], background=[port.serve])


def test_extensions_are_told_of_every_execution_with_rows() -> None:
    """Those on beats whether they are enabled, those on bytes 0 if not; parameters with both."""
    names = ("broadcaster", "repeater", "xor")
    movers = [replace(m, extensions=names if m.name == "P" else ()) for m in CROSSING.movers]
    host = CoreHost(replace(CROSSING, movers=tuple(movers)), "P")
    core, told = host.core, {}
    enables = [0b000, 0b001, 0b110, 0b111]
    parameters = [{"repeater": 5 + slot, "xor": 0xFEED_0000 + slot} for slot in range(4)]

    async def program(ctx):
        for slot, enable in enumerate(enables):
            fields = {"extensions": enable, "parameters": parameters[slot], "route": 1}
            bd = encode(core.descriptor, single(4, base=8), **fields)
            await host.store(ctx, slot, bd)
        for slot in range(4):
            await host.push(ctx, Task(descriptor=slot, repeat=1))

    def taker(name):
        async def take(ctx):
            stream = getattr(core, name)
            told[name] = await collect(ctx, stream, 8, stalls(0.5, name))

        return take

    streams = ("route", *(f"extension_{name}" for name in names))
    port = PortModel(core)
    run(core, [program, *map(taker, streams)], background=[port.serve])
    twice = [slot for slot in range(4) for _ in range(2)]
    assert [given.enable for given in told["extension_broadcaster"]] == [
        enables[slot] & 1 for slot in twice
    ]
    assert [(given.enable, given.parameter) for given in told["extension_repeater"]] == [
        (enables[slot] >> 1 & 1, parameters[slot]["repeater"]) for slot in twice
    ]
    assert told["extension_xor"] == [
        parameters[slot]["xor"] if enables[slot] >> 2 else 0 for slot in twice
    ]


SCRATCHPAD_FAULTS = [
    *[
        (FaultCode.UNSUPPORTED, {name: 1})
        for name in CoreHost(CONFIG, "C").core.descriptor.unsupported
    ],
    (FaultCode.FIELD_RANGE, {"acquire_enable": 1, "acquire_id": 16}),
    (FaultCode.FIELD_RANGE, {"release_delta": -1, "release_id": 31}),
    (FaultCode.FIELD_RANGE, {"iteration_size": 2, "iteration_stride": 1 << 14}),
    (FaultCode.FIELD_RANGE, {"iteration_size": 2, "iteration_offset": 1 << 15}),
    (FaultCode.FIELD_RANGE, {"iteration_size": 2, "iteration_offset": -65}),
    (FaultCode.NONE, {"iteration_size": 1, "iteration_offset": -65, "acquire_id": 16}),
    (FaultCode.INVALID, {"valid": 0}),
    (FaultCode.FIELD_RANGE, {"base": 1 << 15}),
    (FaultCode.FIELD_RANGE, {"base": 1 << 63}),
    (FaultCode.FIELD_RANGE, {"deltas": [0, 1 << 14, 0]}),
    (FaultCode.FIELD_RANGE, {"deltas": [0, 0, -(1 << 14) - 1]}),
    (FaultCode.FIELD_RANGE, {"spatial_strides": [1 << 14, 0]}),
    (FaultCode.FIELD_RANGE, {"spatial_strides": [0, -(1 << 31)]}),
    (FaultCode.FIELD_RANGE, {"mode": len(CONFIG.memory.groups)}),
    (FaultCode.FIELD_RANGE, {"mode": CONFIG.memory.groups.index(1)}),  # less than it reaches
    (FaultCode.NONE, {"base": (1 << 15) - 1, "deltas": [(1 << 14) - 1, -(1 << 14), 0]}),
    (FaultCode.NONE, {"spatial_strides": [(1 << 14) - 1, -(1 << 14)], "mode": 2, "mark_level": 15}),
]


def check_faults(host: CoreHost, cases: list, slot: int) -> None:
    """Each BD of `cases` in turn: the fault that it gives, and that its task retires."""
    port = PortModel(host.core)
    loops = host.core.descriptor.mover.loops

    async def program(ctx):
        for number, (code, fields) in enumerate(cases, start=1):
            await host.store(ctx, slot, encode(host.core.descriptor, single(loops), **fields))
            await host.push(ctx, Task(descriptor=slot, repeat=2, interrupt=True))
            await host.settled(ctx, number)
            expected = {"code": code, "descriptor": slot if code else 0}
            assert await host.fields(ctx, "ERROR") == expected, fields
            assert len(port.executions) == (0 if code else 3), fields
            port.executions.clear()
            await host.put(ctx, "CONTROL", clear_error=1)
            assert await host.value(ctx, "ERROR") == 0

    run(host.core, [program], background=[port.serve], limit=20_000)


def test_every_check_of_a_scratchpad_mover() -> None:
    assert CONFIG.memory.address_bits == 14
    check_faults(CoreHost(CONFIG, "C"), SCRATCHPAD_FAULTS, 3)


def test_every_check_of_a_dram_mover() -> None:
    config = replace(CONFIG, dma=replace(CONFIG.dma, address_bits=40))
    cases = [
        (FaultCode.UNSUPPORTED, {"mode": 1}),
        (FaultCode.UNSUPPORTED, {"operator": 1}),
        (FaultCode.FIELD_RANGE, {"base": 1 << 40}),
        (FaultCode.NONE, {"base": (1 << 40) - 1, "deltas": [-(1 << 31), (1 << 31) - 1, 0, 0]}),
    ]
    check_faults(CoreHost(config, "MM2S0"), cases, 9)


def test_a_dram_bd_travels_whole() -> None:
    host = CoreHost(CONFIG, "S2MM0")
    row, rows = host.core.port.rows.payload, host.core.port.rows
    guards = [
        {"offset": -5, "limit": 77, "run": 1, "deltas": [1, -2, 3, -4]},
        {"offset": 9, "limit": (1 << 31) - 1, "run": 0, "deltas": [-(1 << 31), 0, 0, 0]},
    ]
    bd = Bd(base=(1 << 64) - 8, bounds=(2, 1, 1, 1), strides=(-16, 0, 0, 0))

    async def program(ctx):
        bits = encode(host.core.descriptor, bd, guards=guards, run_length=(1 << 24) - 1, pad=0xEE)
        await host.store(ctx, 15, bits)
        await host.push(ctx, Task(descriptor=15))
        await ctx.tick().until(rows.valid)
        for step in range(2):
            payload = ctx.get(row)
            assert payload.address == (1 << 64) - 8 - 16 * step
            assert [payload.guards[i] for i in range(2)] == [-5 + step, 9 - (step << 31)]
            assert payload.settings.run_length == (1 << 24) - 1
            assert payload.settings.pad == 0xEE
            assert [payload.settings.limits[i] for i in range(2)] == [77, (1 << 31) - 1]
            assert [payload.settings.runs[i] for i in range(2)] == [1, 0]
            ctx.set(rows.ready, 1)
            await ctx.tick()
        assert not ctx.get(rows.valid)
        assert await host.value(ctx, "ADDRESS_HIGH") == 0xFFFFFFFF
        assert await host.value(ctx, "ADDRESS_LOW") == 0xFFFFFFE8
        # Nothing to move: a run of no bytes.
        await host.store(ctx, 0, encode(host.core.descriptor, bd, run_length=0))
        await host.push(ctx, Task(descriptor=0))
        await ctx.tick().repeat(5)
        assert (await host.fields(ctx, "STATUS"))["in_flight"] == 1
        assert await host.value(ctx, "RETIRED") == 0
        ctx.set(host.core.port.retired, 1)
        await ctx.tick()
        ctx.set(host.core.port.retired, 0)
        await host.settled(ctx, 2)

    run(host.core, [program])


@pytest.mark.parametrize(("name", "address"), [("B", -0x1F8), ("MM2S0", 0x9122334455667788)])
def test_a_port_s_fault_belongs_to_the_oldest_bd_in_flight(name: str, address: int) -> None:
    host = CoreHost(CONFIG, name)
    port, loops = host.core.port, host.core.descriptor.mover.loops
    faulted: list[int] = []

    async def report(ctx, code, address, *, retired):
        ctx.set(port.fault, {"code": code, "address": address})
        ctx.set(port.retired, retired)
        await ctx.tick()
        ctx.set(port.fault, {"code": 0, "address": 0})
        ctx.set(port.retired, 0)
        assert ctx.get(host.core.faulted)
        assert ctx.get(host.core.fault_code)

    async def program(ctx):
        ctx.set(port.rows.ready, 1)
        for slot in range(3):
            await host.store(ctx, slot, encode(host.core.descriptor, single(loops)))
        for slot in (2, 1, 0):
            await host.push(ctx, Task(descriptor=slot))
        await ctx.tick().repeat(5)
        ctx.set(port.retired, 1)
        await ctx.tick()
        await report(ctx, FaultCode.READ_DECERR, address, retired=1)
        await report(ctx, FaultCode.READ_SLVERR, 0x99, retired=0)
        assert await host.fields(ctx, "ERROR") == {
            "code": FaultCode.READ_DECERR,
            "descriptor": 1,
        }
        assert await host.value(ctx, "FAULT_LOW") == address & 0xFFFFFFFF
        assert await host.value(ctx, "FAULT_HIGH") == address >> 32 & 0xFFFFFFFF
        assert await host.value(ctx, "RETIRED") == 2, "an error does not keep a task"
        await host.put(ctx, "CONTROL", clear_error=1)
        for name in ("ERROR", "FAULT_LOW", "FAULT_HIGH"):
            assert await host.value(ctx, name) == 0
        assert (await host.fields(ctx, "STATUS"))["error"] == 0
        await report(ctx, FaultCode.REACH, 0x42, retired=1)
        assert await host.fields(ctx, "ERROR") == {"code": FaultCode.REACH, "descriptor": 0}
        assert await host.value(ctx, "RETIRED") == 3

    async def monitor(ctx):
        faulted.clear()
        async for _, _, now in ctx.tick().sample(host.core.faulted):
            faulted.append(now)

    run(host.core, [program], background=[monitor])
    assert sum(faulted) == 3


def test_a_fault_that_names_its_bd_is_charged_to_that_one() -> None:
    host = CoreHost(CONFIG, "B")
    port = host.core.port
    tags: list[int] = []

    async def program(ctx):
        tags.clear()
        ctx.set(port.rows.ready, 1)
        for slot in (3, 1):
            await host.store(ctx, slot, encode(host.core.descriptor, single(3)))
            await host.push(ctx, Task(descriptor=slot))
        await ctx.tick().repeat(8)
        code = FaultCode.REACH
        ctx.set(port.fault, {"code": code, "address": 8, "named": 1, "tag": tags[1]})
        await ctx.tick()
        ctx.set(port.fault, {"code": 0})
        assert await host.fields(ctx, "ERROR") == {"code": code, "descriptor": 1}

    async def monitor(ctx):
        async for _, _, valid, row in ctx.tick().sample(port.rows.valid, port.rows.payload):
            if valid:
                tags.append(row.settings.tag)

    run(host.core, [program], background=[monitor])
    assert len(set(tags)) == 2


def test_counters_and_their_clear() -> None:
    host = CoreHost(CONFIG, "B")
    activity = host.core.port.activity

    async def program(ctx):
        ctx.set(activity, {"valid": 1, "ready": 1, "conflict": 1, "accesses": 4})
        await ctx.tick().repeat(10)
        ctx.set(activity, {"valid": 1})
        await ctx.tick().repeat(3)
        ctx.set(activity, {"valid": 0})
        names = ("ACTIVE", "STARVED", "BLOCKED", "CONFLICT", "ACCESSES")
        assert [await host.value(ctx, name) for name in names] == [10, 0, 3, 10, 40]
        ctx.set(host.core.clear_counters, 1)
        await ctx.tick()
        ctx.set(host.core.clear_counters, 0)
        assert [await host.value(ctx, name) for name in names] == [0] * 5

    run(host.core, [program])


def test_accesses_that_the_page_does_not_allow() -> None:
    host = CoreHost(CONFIG, "B")
    words = host.core.descriptor.words

    async def program(ctx):
        assert (await read(ctx, host.bus, host.page.register("PUSH").offset))[1]
        assert await write(ctx, host.bus, host.page.register("RETIRED").offset, 1)
        assert await write(ctx, host.bus, host.page.register("PUSH").offset, 1 << 18)
        assert (await read(ctx, host.bus, 4 * len(host.page.registers)))[1]
        assert (await read(ctx, host.bus, DESCRIPTOR_STORE))[1]
        assert await write(ctx, host.bus, DESCRIPTOR_STORE + 4 * words, 0)
        assert await write(ctx, host.bus, 0x3FFC, 0)
        assert await host.value(ctx, "LEVEL") == 0
        assert not ctx.get(host.core.busy)

    run(host.core, [program])


@pytest.mark.parametrize("name", ["A", "MM2S0"])
def test_verilog(name: str) -> None:
    core = CoreHost(CONFIG, name).core
    assert (core.config, CONFIG.movers[core.index].name) == (CONFIG, name)
    assert "module core" in verilog.convert(core, name="core")


def test_only_a_mover_with_an_operator_has_the_stream() -> None:
    names = [mover.name for mover in CONFIG.movers]
    assert [n for n in names if hasattr(CoreHost(CONFIG, n).core, "operator")] == ["A"]
    assert MoverCore(config=CONFIG, index=0).index == 0
