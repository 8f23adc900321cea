"""Some movers are aborted, the others go on: driver, RTL and DRAM together."""

from collections.abc import Iterator
from dataclasses import replace
from random import Random
from typing import Any

import numpy as np
import pytest

from support.engines import needs_compiler
from support.pairs import TINY, doubled
from weft.engines import open_simulation
from weft.sim.dram import DramParameters
from weft.sw.abort import Stopped
from weft.sw.blocked import contiguous
from weft.sw.descriptor import BufferDescriptor
from weft.sw.device import Device

CONFIG = doubled()
assert TINY.dma is not None
BEAT = TINY.dma.data_bytes
PAIRS = (("MM2S0", "Y", "X", "S2MM0"), ("MM2S1", "Y1", "X1", "S2MM1"))
REGION = 0x1000
"""Bytes of the scratchpad for each pair."""


@pytest.fixture(scope="module")
def shared_simulation() -> Iterator[Any]:
    with open_simulation(CONFIG, "python", memory_bytes=1 << 16) as simulation:
        yield simulation


@pytest.fixture
def simulation(request: pytest.FixtureRequest, shared_simulation: Any) -> Any:
    """Of a memory that a parameter `seed` makes slow."""
    seed = request.node.callspec.params.get("seed") if hasattr(request.node, "callspec") else None
    shared_simulation.dram.parameters = DramParameters() if seed is None else slow_memory(seed)
    return shared_simulation


def slow_memory(seed: int) -> DramParameters:
    """Any latency and backpressure."""
    pick = Random(seed)
    stall = pick.choice((0, 60, 200))
    return DramParameters(
        read_latency=pick.randrange(60),
        write_latency=pick.randrange(60),
        **dict.fromkeys(("stall_ar", "stall_r", "stall_aw", "stall_w", "stall_b"), stall),
        seed=seed,
    )


class Bench:
    """Both pairs, with arrays of random bytes."""

    def __init__(self, simulation: Any, seed: int) -> None:
        self.pick = Random(seed)
        self.simulation = simulation
        self.dev = Device(simulation, CONFIG)

    def fresh(self, size: int) -> Any:
        array = self.dev.allocate(size, np.uint8)
        array[:] = np.frombuffer(self.pick.randbytes(size), np.uint8)
        return array

    def put(self, mover: str, slot: int, base: int, size: int, **fields: Any) -> None:
        """A walk over `size` consecutive bytes."""
        config = CONFIG.mover(mover)
        if config.is_scratchpad:
            walk = contiguous(CONFIG.memory, config, base=base, length=size)
        else:
            walk = BufferDescriptor(base=base, bounds=(1,), strides=(0,), run_length=size)
        self.dev.write_descriptor(mover, slot, replace(walk, **fields))

    def start(self, mover: str, slot: int, base: int, size: int, **fields: Any) -> int:
        self.put(mover, slot, base, size, **fields)
        return self.dev.push(mover, slot)

    def fill(self, pair: int, data: Any) -> None:
        """`data` to the beginning of the pair's region."""
        source, writer, _, _ = PAIRS[pair]
        self.start(source, 0, data.device_address, data.size)
        self.dev.wait(writer, self.start(writer, 0, REGION * pair, data.size))

    def fetch(self, pair: int, size: int) -> Any:
        """What the region begins with."""
        _, _, reader, sink = PAIRS[pair]
        out = self.dev.allocate(size, np.uint8)
        self.start(reader, 0, REGION * pair, size)
        self.dev.wait(sink, self.start(sink, 0, out.device_address, size))
        return out

    def state(self, mover: str) -> dict[str, int]:
        return self.dev.registers.fields(mover, "STATUS")

    def pause(self, most: int) -> None:
        self.simulation.wait_interrupt(self.pick.randrange(1, most))


def executions(stopped: Stopped, before: int, repeat: int) -> int:
    """Of tasks of `repeat` executions each, since `before` had retired."""
    return (stopped.retired - before) * repeat + stopped.executions


def interrupted(bench: Bench) -> None:
    """While one pair is aborted in mid-write the other one copies; then both do."""
    pick, dev = bench.pick, bench.dev
    victim = pick.randrange(2)
    _, _, reader, sink = PAIRS[victim]
    data = bench.fresh(BEAT * pick.randint(2, 12))
    bench.fill(victim, data)
    # The victim: a walk with gaps over an array, execution after execution; its source is a ring.
    rows, row, repeat = pick.randint(1, 8), pick.randint(1, 200), pick.randint(1, 12)
    pitch = row + pick.randrange(20)
    out = dev.allocate(rows * pitch * repeat + 7, np.uint8)
    out[:] = 0xAA
    offset = pick.randrange(7)
    walk = BufferDescriptor(
        base=out.device_address + offset,
        bounds=(rows,),
        strides=(pitch,),
        run_length=row,
        iteration_size=repeat,
        iteration_stride=rows * pitch,
    )
    dev.write_descriptor(sink, 1, walk)
    bench.put(reader, 1, REGION * victim, data.size, use_next=1, next=1)
    other = bench.fresh(BEAT * 16)
    before = dev.registers.read(sink, "RETIRED")
    source, writer, _, _ = PAIRS[1 - victim]
    bench.start(source, 0, other.device_address, other.size)
    token = bench.start(writer, 0, REGION * (1 - victim), other.size)
    for mover in pick.sample((reader, sink), 2):
        dev.push(mover, 1, repeat=repeat if mover == sink else 1)
    bench.pause(200)
    if pick.random() < 0.5:
        stopped = dev.abort(sink, reader)[sink]
    else:  # one after the other
        stopped = dev.abort(sink)[sink]
        assert bench.state(reader)["busy"]
        dev.abort(reader)
    # What is reported is there, and nothing beyond it.
    begun = executions(stopped, before, repeat) % repeat if stopped.retired == before else repeat
    places = (
        offset
        + np.arange(repeat)[:, None, None] * rows * pitch
        + np.arange(rows)[:, None] * pitch
        + np.arange(row)
    ).reshape(-1)
    count = begun * rows * row + stopped.progress
    expected = np.full(out.size, 0xAA, np.uint8)
    expected[places[:count]] = np.resize(data, count)
    np.testing.assert_array_equal(out, expected)
    for mover in (reader, sink):
        state = bench.state(mover)
        assert (state["busy"], state["in_flight"], state["error"]) == (0, 0, 0)
        assert dev.registers.read(mover, "LEVEL") == 0
    # Nobody else has noticed, and everybody can go on.
    dev.wait(writer, token)
    np.testing.assert_array_equal(bench.fetch(1 - victim, other.size), other)
    again = bench.fresh(BEAT * 5)
    bench.fill(victim, again)
    np.testing.assert_array_equal(bench.fetch(victim, again.size), again)
    np.testing.assert_array_equal(out, expected)
    dev.free(out)


@pytest.mark.parametrize("seed", range(2))
def test_memory_holds_what_is_reported_and_the_others_go_on(simulation: Any, seed: int) -> None:
    interrupted(Bench(simulation, seed))


@pytest.mark.soak
@needs_compiler
@pytest.mark.parametrize("memory", range(40))
def test_aborts_at_many_times(memory: int) -> None:
    dram = slow_memory(memory)
    with open_simulation(CONFIG, "verilator", memory_bytes=1 << 16, dram=dram) as simulation:
        for seed in range(50):
            interrupted(Bench(simulation, 50 * memory + seed))


@pytest.mark.parametrize("seed", range(2))
def test_a_source_that_is_aborted_goes_on_where_it_was(simulation: Any, seed: int) -> None:
    """Its sink keeps what it was given, and waits."""
    bench = Bench(simulation, seed)
    dev, data = bench.dev, bench.fresh(BEAT * 30)
    token = bench.start("Y", 0, 0, data.size)
    bench.start("MM2S0", 0, data.device_address, data.size, acquire_enable=0)
    bench.pause(120)
    given = dev.abort("MM2S0")["MM2S0"]
    assert given.retired == 0 or given.progress == 0
    if not given.retired:
        assert bench.state("Y")["busy"]
        bench.start("MM2S0", 0, data.device_address + given.progress, data.size - given.progress)
    dev.wait("Y", token)
    np.testing.assert_array_equal(bench.fetch(0, data.size), data)


@pytest.mark.parametrize("seed", range(2))
def test_a_scratchpad_source_goes_on_where_it_was(simulation: Any, seed: int) -> None:
    bench = Bench(simulation, seed)
    dev, data = bench.dev, bench.fresh(BEAT * 30)
    bench.fill(0, data)
    out = dev.allocate(data.size, np.uint8)
    token = bench.start("S2MM0", 0, out.device_address, data.size)
    bench.start("X", 0, 0, data.size)
    bench.pause(60)
    given = dev.abort("X")["X"]
    # It has retired what it has read, whether or not that was taken.
    if given.progress or not given.retired:
        rest = data.size - given.progress
        bench.start("X", 0, given.progress, rest)
    dev.wait("S2MM0", token)
    np.testing.assert_array_equal(out, data)


@pytest.mark.parametrize("seed", range(2))
def test_a_scratchpad_writer_says_what_it_has_written(simulation: Any, seed: int) -> None:
    bench = Bench(simulation, seed)
    dev, pick = bench.dev, bench.pick
    old, new = bench.fresh(BEAT * 24), bench.fresh(BEAT * 24)
    bench.fill(0, old)
    bench.start("MM2S0", 1, new.device_address, new.size)
    bench.start("Y", 1, 0, new.size)
    bench.pause(150)
    movers = pick.choice((("Y", "MM2S0"), ("Y",)))
    stopped = dev.abort(*movers)["Y"]
    count = new.size if stopped.retired == 2 else stopped.progress
    if len(movers) == 1:
        dev.abort("MM2S0")
    expected = np.concatenate([new[:count], old[count:]])
    np.testing.assert_array_equal(bench.fetch(0, old.size), expected)


@pytest.fixture
def bench(simulation: Any) -> Bench:
    return Bench(simulation, 0)


def test_a_mover_that_waits_for_its_lock_takes_nothing(bench: Bench) -> None:
    dev = bench.dev
    gate = {"acquire_enable": 1, "acquire_id": 3, "acquire_value": 2}
    bench.start("X", 0, 0, BEAT, **gate)
    dev.push("X", 0)
    bench.pause(20)
    assert bench.state("X")["locked"]
    assert dev.abort("X") == {"X": Stopped(retired=0, executions=0, progress=0)}
    assert not bench.state("X")["busy"]
    dev.registers.write_fields("system", "LOCK_SET", id=3, value=2)
    bench.pause(20)
    assert dev.locks.values[3] == 2
    # The slot keeps what it holds.
    out = dev.allocate(BEAT, np.uint8)
    dev.push("X", 0)
    dev.wait("S2MM0", bench.start("S2MM0", 0, out.device_address, BEAT))
    assert dev.locks.values[3] == 0


@pytest.mark.parametrize("seed", range(3))
def test_a_ring_is_left_and_has_released_what_it_retired(simulation: Any, seed: int) -> None:
    """Of a ring of a BD with rows and a lock, one without rows, and another."""
    bench = Bench(simulation, seed)
    dev = bench.dev
    dev.registers.write_fields("system", "LOCK_SET", id=0, value=60)
    release = {"release_delta": 1, "use_next": 1}
    take = {"acquire_enable": 1, "acquire_id": 0, "acquire_value": 1}
    bench.put("MM2S0", 0, dev.transport.memory_base, BEAT, release_id=1, next=1, **release, **take)
    bench.put("MM2S0", 1, dev.transport.memory_base, 0, release_id=2, next=2, **release)
    bench.put("MM2S0", 2, dev.transport.memory_base, 3 * BEAT, release_id=3, next=0, **release)
    dev.push("MM2S0", 0)
    bench.put("Y", 0, 0, 4 * BEAT, use_next=1, next=0)
    dev.push("Y", 0)
    bench.pause(300)
    stopped = dev.abort("MM2S0", "Y")
    rounds, rest = divmod(stopped["MM2S0"].executions, 3)
    assert (stopped["MM2S0"].retired, stopped["Y"].retired) == (0, 0)
    released = [rounds + (rest > place) for place in range(3)]
    values = dev.locks.values
    assert values[1:4] == released
    assert 60 - values[0] - released[0] in (0, 1), "the one that was ended may have acquired"
    dev.registers.write_fields("system", "LOCK_SET", id=0, value=0)
    bench.pause(50)
    assert dev.locks.values[1:4] == released


def test_a_push_meanwhile_is_refused_and_tokens_go_on(bench: Bench) -> None:
    dev = bench.dev
    data = bench.fresh(BEAT * 4)
    bench.fill(0, data)
    bench.start("X", 0, 0, BEAT)
    first = dev.program.pushed("X")
    token = bench.start("Y", 0, 0, BEAT)
    dev.registers.write_fields("system", "ABORT", X=1)
    dev.registers.write_fields("X", "PUSH", descriptor=0)
    assert dev.registers.read("X", "REFUSED") == 1
    while dev.registers.read("system", "ABORT"):
        pass
    dev.program.forget("X")
    dev.registers.write("system", "IRQ_FAULT", 0xFFFF_FFFF)
    dev.registers.write_fields("X", "CONTROL", clear_error=1)
    assert dev.program.pushed("X") == dev.registers.read("X", "RETIRED") <= first
    # The one that was not aborted still has its task, and its token.
    bench.start("MM2S0", 0, data.device_address, BEAT)
    dev.wait("Y", token)
    np.testing.assert_array_equal(bench.fetch(0, data.size), data)


def test_an_iteration_begins_anew(bench: Bench) -> None:
    dev = bench.dev
    data = bench.fresh(4 * BEAT)
    bench.put("MM2S0", 0, data.device_address, BEAT, iteration_size=4, iteration_stride=BEAT)
    for _ in range(2):
        dev.push("MM2S0", 0, repeat=2)
        token = bench.start("Y", 0, 0, 2 * BEAT)
        dev.wait("Y", token)
        np.testing.assert_array_equal(bench.fetch(0, 2 * BEAT), data[: 2 * BEAT])
        dev.abort("MM2S0")


def test_no_name_is_everybody(bench: Bench) -> None:
    dev = bench.dev
    bench.start("Y", 0, 0, BEAT)
    bench.start("S2MM1", 0, dev.transport.memory_base, BEAT)
    stopped = dev.abort()
    assert list(stopped) == [mover.name for mover in CONFIG.movers]
    assert not any(bench.state(mover)["busy"] for mover in stopped)
    data = bench.fresh(100 * BEAT)
    for pair in range(2):
        bench.fill(pair, data)
        np.testing.assert_array_equal(bench.fetch(pair, data.size), data)


def test_a_reset_leaves_what_was_reported(bench: Bench) -> None:
    dev, data = bench.dev, bench.fresh(40 * BEAT)
    out = dev.allocate(data.size, np.uint8)
    counts = []
    for pause in (30, 40, 50):
        bench.fill(0, data)
        out[:] = 0
        bench.start("X", 0, 0, data.size)
        bench.start("S2MM0", 0, out.device_address, data.size)
        bench.simulation.wait_interrupt(pause)
        dev.reset()
        count = dev.registers.read("S2MM0", "PROGRESS")
        np.testing.assert_array_equal(out[:count], data[:count])
        assert not out[count:].any()
        counts.append(count)
    assert any(0 < count < data.size for count in counts)
