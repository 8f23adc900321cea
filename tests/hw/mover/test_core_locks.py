"""A core with its locks: when it waits, what it takes and gives, and what that costs."""

import random
from dataclasses import dataclass

import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring

from support.bench import run, watch
from support.movers import CoreHost, PortModel, encode, without_extensions
from support.pages import named_config
from weft.hw.bus.fault import FaultCode
from weft.hw.bus.wires import adopt
from weft.hw.mover import LockBank, LockClientSignature, StallCause
from weft.sim.golden.mover import Bd, Task, executions

CONFIG = without_extensions(named_config("tiny"))
PARTNER, SPARE = 0, 1
"""The other client of the bank is the test."""


class Locked(wiring.Component):
    """A core, a lock bank and another client."""

    def __init__(self, host: CoreHost) -> None:
        super().__init__({})
        self.core = host.core
        self.other = LockClientSignature().create()
        self.bank = LockBank(locks=CONFIG.locks, clients=2)
        adopt(self.bank, "clients", [wiring.flipped(host.core.locks), wiring.flipped(self.other)])

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.core = self.core
        m.submodules.bank = self.bank
        return m


def line(loops: int, rows: int, **fields: object) -> Bd:
    """A BD of `rows` rows, 4 bytes apart."""
    bounds = (rows, *(1,) * (loops - 1))
    return Bd(base=64, bounds=bounds, strides=(4, *(0,) * (loops - 1)), **fields)


def locking(acquire: tuple[int, int, bool] | None, release: tuple[int, int] | None) -> dict:
    """The lock fields of a BD: (id, value, equal) and (id, delta)."""
    fields: dict[str, int] = {}
    if acquire is not None:
        fields |= {"acquire_enable": 1, "acquire_id": acquire[0], "acquire_value": acquire[1]}
        fields["acquire_mode"] = acquire[2]
    if release is not None:
        fields |= {"release_id": release[0], "release_delta": release[1]}
    return fields


async def setting(ctx, dut: Locked, lock: int, value: int) -> None:
    ctx.set(dut.bank.set.payload, {"id": lock, "value": value})
    ctx.set(dut.bank.set.valid, 1)
    await ctx.tick()
    ctx.set(dut.bank.set.valid, 0)


@dataclass
class Log:
    """When the core did what; of each kind in order."""

    dut: Locked

    async def watch(self, ctx) -> None:
        core = self.dut.core
        locks, rows = core.locks, core.port.rows
        self.acquired: list[tuple[int, tuple[int, int, int]]] = []
        self.released: list[tuple[int, tuple[int, int]]] = []
        self.first: list[int] = []
        self.last: list[int] = []
        self.over: list[int] = []
        self.tasks: list[int] = []
        cycle = 0
        async for _, _, *now in ctx.tick().sample(
            locks.acquire.valid & locks.acquire.ready,
            locks.acquire.payload,
            locks.release.valid & locks.release.ready,
            locks.release.payload,
            rows.valid & rows.ready & rows.payload.first,
            rows.valid & rows.ready & rows.payload.end,
            core.port.retired,
            core.flight.retired & core.flight.oldest.last,
        ):
            takes, taken, gives, given, first, last, over, task = now
            if takes:
                self.acquired.append((cycle, (taken.id, taken.value, taken.equal)))
            if gives:
                self.released.append((cycle, (given.id, given.delta)))
            for happens, log in (
                (first, self.first),
                (last, self.last),
                (over, self.over),
                (task, self.tasks),
            ):
                if happens:
                    log.append(cycle)
            cycle += 1


@pytest.mark.parametrize("seed", range(8))
def test_programs_with_locks_run_as_on_a_serial_machine(seed: int) -> None:
    """Each lock is taken after the row before and before the first row, and given after the last
    response, unless there was a fault."""
    toss = random.Random(seed)
    host = CoreHost(CONFIG, toss.choice(["B", "D"]))
    dut, mover = Locked(host), CONFIG.mover("B")
    loops = mover.loops
    wants = {s: toss.choice([None, (PARTNER, 1, False), (PARTNER, 2, False)]) for s in range(4)}
    gives = {s: toss.choice([None, (SPARE, 1), (SPARE, 2)]) for s in range(4)}
    slots = {
        slot: line(
            loops,
            toss.choice([0, 1, 1, 2, 5]),
            next=toss.choice([None, *range(slot + 1, 4)]),
        )
        for slot in range(4)
    }
    tasks = [Task(descriptor=toss.randrange(4), repeat=toss.choice([0, 0, 2])) for _ in range(8)]
    every = list(executions(tasks, slots, FaultCode.NO_DESCRIPTOR))
    moving = [run for run in every if run.addresses]
    faulty = {i: toss.random() < 0.5 for i in range(len(moving)) if toss.random() < 0.2}
    port = PortModel(
        host.core,
        stall=toss.choice([0.0, 0.4, 0.8]),
        delay=toss.choice([0, 3, 25]),
        seed=seed,
        faults=faulty,
    )
    log = Log(dut)

    async def program(ctx):
        for slot, bd in slots.items():
            fields = locking(wants[slot], gives[slot])
            bits = encode(host.core.descriptor, bd, **{"pad": slot + 1} | fields)
            await host.store(ctx, slot, bits)
        for task in tasks:
            while await host.value(ctx, "LEVEL") == mover.queue_depth:
                pass
            await host.push(ctx, task)
        await host.settled(ctx, len(tasks))
        await ctx.tick()

    async def partner(ctx):
        """Gives what the core takes and takes what it gives, now and then."""
        other, given = dut.other, 0
        needed = sum(w[1] for run in every if (w := wants[run.descriptor]))
        ctx.set(other.acquire.payload, {"id": SPARE, "value": 1, "equal": 0})
        ctx.set(other.release.payload, {"id": PARTNER, "delta": 1})
        while True:
            offered = ctx.get(other.release.valid)
            room = not offered and ctx.get(dut.bank.values[PARTNER]) < 60
            if room and given < needed and toss.random() < 0.3:
                ctx.set(other.release.valid, 1)
                given += 1
            if toss.random() < 0.9:
                ctx.set(other.acquire.valid, 1)
            _, _, took, gave = await ctx.tick().sample(
                other.acquire.valid & other.acquire.ready, other.release.ready
            )
            if took:
                ctx.set(other.acquire.valid, 0)
            if gave:
                ctx.set(other.release.valid, 0)

    run(
        dut,
        [program],
        background=[port.serve, partner, log.watch, watch(host.core.port.rows, "rows")],
        limit=20_000,
    )
    assert [addresses for _, addresses in port.executions] == [run.addresses for run in moving]
    spoilt = [False] * len(every)
    places = [index for index, run in enumerate(every) if run.addresses]
    for index in faulty:
        spoilt[places[index]] = True
    assert [w for _, w in log.acquired] == [w for r in every if (w := wants[r.descriptor])]
    assert [g for _, g in log.released] == [
        g for r, bad in zip(every, spoilt, strict=True) if (g := gives[r.descriptor]) and not bad
    ]
    acquired, released = iter(log.acquired), iter(log.released)
    issued = ended = -1
    moved = 0
    for run_, bad in zip(every, spoilt, strict=True):
        if wants[run_.descriptor]:
            taken, _ = next(acquired)
            assert issued < taken
            if run_.addresses:
                assert taken <= log.first[moved]
            else:
                assert ended < taken
        if run_.addresses:
            issued, over = log.last[moved], log.over[moved]
            moved += 1
        else:
            over = max(issued, ended)
        ended = max(ended, over)
        if gives[run_.descriptor] and not bad:
            given, _ = next(released)
            assert over < given
            ended = given
        if run_.last:
            assert log.tasks.pop(0) >= ended


@pytest.mark.parametrize(("rows", "lost"), [((2, 5, 3), 0), ((1, 1, 1), 59), ((1, 3), 30)])
def test_a_free_lock_costs_a_cycle_at_most(rows: tuple[int, ...], lost: int) -> None:
    """One after a push of another BD than the last one and after a BD of one row, none between the
    other BDs of a ring."""
    host = CoreHost(CONFIG, "B")
    dut, port = Locked(host), PortModel(host.core)
    executed = 60

    async def program(ctx):
        for slot, count in enumerate(rows, 1):
            bits = encode(
                host.core.descriptor,
                line(3, count, next=slot % len(rows) + 1),
                **locking((slot, 1, False), (SPARE + 8, 1)),
            )
            await host.store(ctx, slot, bits)
            await setting(ctx, dut, slot, 63)
        ctx.set(host.core.push.payload, {"descriptor": 1})
        ctx.set(host.core.push.valid, 1)
        assert ctx.get(host.core.push.ready)
        for _ in range(3):
            assert not ctx.get(host.core.port.rows.valid)
            await ctx.tick()
            ctx.set(host.core.push.valid, 0)
        assert ctx.get(host.core.port.rows.valid)
        while len(port.executions) < executed:
            await ctx.tick()
        cycles = port.row_cycles[-1] - port.row_cycles[0] + 1
        assert cycles == len(port.row_cycles) + lost
        assert await host.value(ctx, "RETIRED") == 0, "a ring never ends"

    run(dut, [program], background=[port.serve])


def test_waiting_for_a_lock_is_shown() -> None:
    host = CoreHost(CONFIG, "B")
    dut, port = Locked(host), PortModel(host.core)

    async def program(ctx):
        bits = encode(host.core.descriptor, line(3, 2), **locking((9, 4, True), (9, -4)))
        await host.store(ctx, 2, bits)
        await host.push(ctx, Task(descriptor=2))
        await ctx.tick().repeat(6)
        status = await host.fields(ctx, "STATUS")
        assert (status["busy"], status["locked"], status["lock"]) == (1, 1, 9)
        assert status["stall"] == StallCause.LOCK
        assert not port.row_cycles
        await setting(ctx, dut, 9, 5)
        await ctx.tick().repeat(6)
        assert not port.row_cycles, "5 is not 4"
        await setting(ctx, dut, 9, 4)
        await host.settled(ctx, 1)
        status = await host.fields(ctx, "STATUS")
        assert (status["busy"], status["locked"], status["stall"]) == (0, 0, StallCause.NONE)
        assert ctx.get(dut.bank.values[9]) == 0

    run(dut, [program], background=[port.serve])


def test_a_bd_without_rows_behind_it_does_not_take_a_request_back() -> None:
    host = CoreHost(CONFIG, "B")
    dut, port = Locked(host), PortModel(host.core)

    async def program(ctx):
        waits = encode(host.core.descriptor, line(3, 2), **locking((9, 1, False), None))
        await host.store(ctx, 1, waits)
        await host.store(ctx, 2, encode(host.core.descriptor, line(3, 0)))
        for slot in (1, 2, 1):
            await host.push(ctx, Task(descriptor=slot))
        await ctx.tick().repeat(10)
        assert ctx.get(dut.bank.clients[0].acquire.valid)
        await setting(ctx, dut, 9, 2)
        await host.settled(ctx, 3)
        assert len(port.executions) == 2

    run(dut, [program], background=[port.serve])


def test_a_slot_in_use_is_not_written() -> None:
    host = CoreHost(CONFIG, "B")
    dut, port = Locked(host), PortModel(host.core)
    loops = 3

    async def program(ctx):
        await host.store(ctx, 0, encode(host.core.descriptor, line(loops, 2)))
        chain = line(loops, 1, next=0)
        await host.store(
            ctx, 1, encode(host.core.descriptor, chain, **locking((3, 1, False), None))
        )
        await host.push(ctx, Task(descriptor=1))
        await host.push(ctx, Task(descriptor=2))
        await ctx.tick().repeat(6)
        other = encode(host.core.descriptor, line(loops, 7))
        # Loaded and waiting, queued; the chain's second is prefetched.
        for slot in (1, 2, 0):
            await host.store(ctx, slot, other)
            expected = {"code": FaultCode.DESCRIPTOR_IN_USE, "descriptor": slot}
            assert await host.fields(ctx, "ERROR") == expected
            assert ctx.get(host.core.fault_code)
            await host.put(ctx, "CONTROL", clear_error=1)
        await host.store(ctx, 3, other)
        assert await host.value(ctx, "ERROR") == 0
        await setting(ctx, dut, 3, 1)
        await host.settled(ctx, 2)
        assert [len(addresses) for _, addresses in port.executions] == [1, 2]
        assert (await host.fields(ctx, "ERROR"))["code"] == FaultCode.INVALID, "slot 2 is empty"
        await host.store(ctx, 1, other)
        await host.put(ctx, "CONTROL", clear_error=1)
        await host.push(ctx, Task(descriptor=1))
        await host.settled(ctx, 3)
        assert len(port.executions[-1][1]) == 7

    run(dut, [program], background=[port.serve])


@pytest.mark.parametrize("following", [False, True])
def test_a_slot_is_in_use_until_its_last_row_has_gone(following: bool) -> None:
    """Though the next task has been loaded, or none is there to load."""
    host = CoreHost(CONFIG, "A")
    dut, port = Locked(host), PortModel(host.core)
    loops = CONFIG.mover("A").loops
    rows = 8 * host.core.descriptor.words

    async def program(ctx):
        await host.store(ctx, 0, encode(host.core.descriptor, line(loops, rows)))
        await host.store(ctx, 1, encode(host.core.descriptor, line(loops, 3)))
        await host.push(ctx, Task(descriptor=0))
        if following:
            await host.push(ctx, Task(descriptor=1))
        await ctx.tick().repeat(6)
        other = encode(host.core.descriptor, line(loops, 7))
        await host.store(ctx, 0, other)
        expected = {"code": FaultCode.DESCRIPTOR_IN_USE, "descriptor": 0}
        assert await host.fields(ctx, "ERROR") == expected
        await host.put(ctx, "CONTROL", clear_error=1)
        await host.settled(ctx, 1 + following)
        assert [len(addresses) for _, addresses in port.executions] == [rows, 3][: 1 + following]
        addresses = port.executions[0][1]
        assert list(addresses) == [64 + 4 * row for row in range(rows)]
        await host.store(ctx, 0, other)
        assert await host.value(ctx, "ERROR") == 0
        await host.push(ctx, Task(descriptor=0))
        await host.settled(ctx, 2 + following)
        assert len(port.executions[-1][1]) == 7

    run(dut, [program], background=[port.serve])


def test_a_push_by_wire_waits_where_a_push_by_register_is_refused() -> None:
    host = CoreHost(CONFIG, "B")
    dut, port = Locked(host), PortModel(host.core, paused=True)
    depth = CONFIG.mover("B").queue_depth
    push = host.core.push

    async def program(ctx):
        port.paused = True
        bits = encode(host.core.descriptor, line(3, 1), **locking((3, 1, False), None))
        await host.store(ctx, 0, bits)
        ctx.set(push.payload, {"descriptor": 0, "rebase": 1, "base": 0x80})
        ctx.set(push.valid, 1)
        await ctx.tick().repeat(depth + 6)
        assert not ctx.get(push.ready)
        assert await host.value(ctx, "LEVEL") == depth
        assert await host.value(ctx, "REFUSED") == 0
        await host.push(ctx, Task(descriptor=0))
        assert await host.value(ctx, "REFUSED") == 1
        ctx.set(push.valid, 0)
        port.paused = False
        await setting(ctx, dut, 3, 63)
        await host.settled(ctx, depth + 2)
        assert [addresses for _, addresses in port.executions] == [(0x80,)] * (depth + 2)

    run(dut, [program], background=[port.serve])


def test_a_base_that_is_no_address_is_refused() -> None:
    host = CoreHost(CONFIG, "B")
    port = PortModel(host.core)

    async def program(ctx):
        # A wrong base of its own does not count: another one takes its place.
        bits = encode(host.core.descriptor, line(3, 1), base=1 << 40)
        await host.store(ctx, 0, bits)
        await host.push(ctx, Task(descriptor=0, base=0x100))
        await host.settled(ctx, 1)
        assert await host.value(ctx, "ERROR") == 0
        await host.push(ctx, Task(descriptor=0, base=1 << 15))
        await host.settled(ctx, 2)
        assert (await host.fields(ctx, "ERROR"))["code"] == FaultCode.FIELD_RANGE
        assert [addresses for _, addresses in port.executions] == [(0x100,)]

    run(host.core, [program], background=[port.serve])


def test_iteration_goes_on_until_its_words_are_written() -> None:
    host = CoreHost(CONFIG, "B")
    port = PortModel(host.core)
    bd = line(3, 1, iteration=(3, 1, 16))

    async def program(ctx):
        bits = encode(host.core.descriptor, bd)
        await host.store(ctx, 0, bits)
        await host.push(ctx, Task(descriptor=0, repeat=3))
        await host.settled(ctx, 1)
        await host.push(ctx, Task(descriptor=0))
        await host.settled(ctx, 2)
        await host.store(ctx, 0, bits)
        await host.push(ctx, Task(descriptor=0))
        await host.settled(ctx, 3)
        starts = [addresses[0] - 64 for _, addresses in port.executions]
        assert starts == [16, 32, 0, 16, 32, 16]

    run(host.core, [program], background=[port.serve])
