"""Some movers are aborted, the others go on: driver, RTL and DRAM together."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from functools import cache
from random import Random
from typing import Any

import numpy as np
import pytest

import weft
from support.crossing import CROSSING
from support.engines import FASTEST, needs_compiler
from support.pairs import TINY, doubled
from weft.engines import open_simulation
from weft.hw.config import SWITCH, AcceleratorConfig
from weft.sim.dram import DramParameters
from weft.sim.golden.system import SystemModel
from weft.sw.abort import Stopped
from weft.sw.blocked import contiguous
from weft.sw.descriptor import BufferDescriptor
from weft.sw.device import Device
from weft.sw.errors import DeviceTimeout
from weft.sw.operators import add_constant
from weft.sw.sequence import RuntimeSequence

PAIRS = {
    "doubled": (("MM2S0", "Y", "X", "S2MM0"), ("MM2S1", "Y1", "X1", "S2MM1")),
    "crossing": (("MM2S0", "Y", "X", "S2MM0"), ("MM2S1", "Q", "P", "S2MM1")),
}
"""Into the scratchpad and out of it, twice, in a system with and in one without a switch."""

REGION = 0x1000
"""Bytes of the scratchpad for each pair."""

assert CROSSING.dma is not None
PIPELINED = replace(CROSSING, dma=replace(CROSSING.dma, pipelined=True))

MEMORY_BYTES = 1 << 16


def slow_memory(seed: int) -> DramParameters:
    """Any latency and backpressure; seed 0 has little."""
    pick = Random(seed)
    stall = pick.choice((0, 60, 200)) if seed else 0
    return DramParameters(
        read_latency=pick.randrange(60),
        write_latency=pick.randrange(60),
        **dict.fromkeys(("stall_ar", "stall_r", "stall_aw", "stall_w", "stall_b"), stall),
        seed=seed,
    )


class Bench:
    """Both pairs, with arrays of random bytes."""

    def __init__(self, simulation: Any, seed: int, config: AcceleratorConfig = CROSSING) -> None:
        assert config.dma is not None
        self.pick = Random(seed)
        self.simulation = simulation
        self.config = config
        self.pairs = PAIRS[config.name]
        self.beat = config.dma.data_bytes
        self.dev = Device(simulation, config)

    def fresh(self, size: int) -> Any:
        array = self.dev.allocate(size, np.uint8)
        array[:] = np.frombuffer(self.pick.randbytes(size), np.uint8)
        return array

    def put(self, name: str, slot: int, base: int, size: int, **fields: Any) -> None:
        """A walk over `size` consecutive bytes."""
        config = self.config.mover(name)
        if config.is_scratchpad:
            walk = contiguous(self.config.memory, config, base=base, length=size)
        else:
            walk = BufferDescriptor(base=base, bounds=(1,), strides=(0,), run_length=size)
        self.write(name, slot, replace(walk, **fields))

    def write(self, name: str, slot: int, walk: BufferDescriptor) -> None:
        """`walk`, with the other mover of its direction at the other end."""
        if self.config.mover(name).bind == SWITCH and not walk.route:
            directions = [ends for pair in self.pairs for ends in (pair[:2], pair[2:])]
            ends = next(ends for ends in directions if name in ends)
            walk = replace(walk, route=tuple(end for end in ends if end != name))
        self.dev.write_descriptor(name, slot, walk)

    def start(self, name: str, slot: int, base: int, size: int, **fields: Any) -> int:
        self.put(name, slot, base, size, **fields)
        return self.dev.push(name, slot)

    def fill(self, pair: int, data: Any) -> None:
        """`data` to the beginning of the pair's region."""
        source, writer, _, _ = self.pairs[pair]
        self.start(source, 0, data.device_address, data.size)
        self.dev.wait(writer, self.start(writer, 0, REGION * pair, data.size))

    def fetch(self, pair: int, size: int) -> Any:
        """What the region begins with."""
        _, _, reader, sink = self.pairs[pair]
        out = self.dev.allocate(size, np.uint8)
        self.start(reader, 0, REGION * pair, size)
        self.dev.wait(sink, self.start(sink, 0, out.device_address, size))
        return out

    def state(self, name: str) -> dict[str, int]:
        return self.dev.registers.fields(name, "STATUS")

    def pause(self, most: int) -> None:
        self.simulation.wait_interrupt(self.pick.randrange(1, most))


Open = Callable[[int], Bench]


@pytest.fixture(scope="module")
def machines() -> Iterator[Callable[[int], Any]]:
    """The system with a switch on each of some memories."""
    with ExitStack() as stack:

        @cache
        def machine(seed: int) -> Any:
            dram = slow_memory(seed)
            opened = open_simulation(CROSSING, FASTEST, memory_bytes=MEMORY_BYTES, dram=dram)
            return stack.enter_context(opened)

        yield machine


@pytest.fixture(params=range(6))
def bench(request: pytest.FixtureRequest, machines: Callable[[int], Any]) -> Bench:
    """At some time, on some memory."""
    return Bench(machines(request.param % 3), request.param)


@pytest.fixture
def calm(machines: Callable[[int], Any]) -> Bench:
    return Bench(machines(0), 0)


def interrupted(bench: Bench) -> None:
    """While one pair is aborted in mid-write the other one copies; then both do."""
    pick, dev = bench.pick, bench.dev
    victim = pick.randrange(2)
    _, _, reader, sink = bench.pairs[victim]
    data = bench.fresh(bench.beat * pick.randint(2, 12))
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
    bench.write(sink, 1, walk)
    bench.put(reader, 1, REGION * victim, data.size, use_next=1, next=1)
    other = bench.fresh(bench.beat * 16)
    before = dev.registers.read(sink, "RETIRED")
    source, writer, _, _ = bench.pairs[1 - victim]
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
    done = stopped.executions if stopped.retired == before else repeat
    places = (
        offset
        + np.arange(repeat)[:, None, None] * rows * pitch
        + np.arange(rows)[:, None] * pitch
        + np.arange(row)
    ).reshape(-1)
    count = done * rows * row + stopped.progress
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
    again = bench.fresh(bench.beat * 5)
    bench.fill(victim, again)
    np.testing.assert_array_equal(bench.fetch(victim, again.size), again)
    np.testing.assert_array_equal(out, expected)


def test_memory_holds_what_is_reported_and_the_others_go_on(bench: Bench) -> None:
    interrupted(bench)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(4, 8))
def test_the_same_without_a_switch(seed: int) -> None:
    config, dram = doubled(), slow_memory(seed)
    with open_simulation(config, "python", memory_bytes=MEMORY_BYTES, dram=dram) as simulation:
        interrupted(Bench(simulation, seed, config))


@pytest.mark.soak
@needs_compiler
@pytest.mark.parametrize(
    "config", [CROSSING, PIPELINED, doubled()], ids=["crossing", "pipelined", "doubled"]
)
def test_aborts_at_many_times(config: AcceleratorConfig) -> None:
    for number in range(40):
        dram = slow_memory(number)
        with open_simulation(config, "verilator", memory_bytes=MEMORY_BYTES, dram=dram) as opened:
            for seed in range(50 * number, 50 * number + 50):
                interrupted(Bench(opened, seed, config))


def test_a_dram_source_goes_on_where_it_was(bench: Bench) -> None:
    """Its sink keeps what it was given, and waits."""
    dev, data = bench.dev, bench.fresh(bench.beat * 30)
    token = bench.start("Y", 0, 0, data.size)
    bench.start("MM2S0", 0, data.device_address, data.size)
    bench.pause(120)
    given = dev.abort("MM2S0")["MM2S0"]
    assert not (given.retired and given.progress)
    if not given.retired:
        assert bench.state("Y")["busy"]
        rest = data.size - given.progress
        bench.start("MM2S0", 0, data.device_address + given.progress, rest)
    dev.wait("Y", token)
    np.testing.assert_array_equal(bench.fetch(0, data.size), data)


def test_a_scratchpad_source_goes_on_where_it_was(bench: Bench) -> None:
    dev, data = bench.dev, bench.fresh(bench.beat * 30)
    bench.fill(0, data)
    out = dev.allocate(data.size, np.uint8)
    token = bench.start("S2MM0", 0, out.device_address, data.size)
    bench.start("X", 0, 0, data.size)
    bench.pause(60)
    given = dev.abort("X")["X"]
    # It has retired what it has read, whether or not that was taken.
    if given.progress or not given.retired:
        bench.start("X", 0, given.progress, data.size - given.progress)
    dev.wait("S2MM0", token)
    np.testing.assert_array_equal(out, data)


def test_a_scratchpad_writer_says_what_it_has_written(bench: Bench) -> None:
    dev, pick = bench.dev, bench.pick
    old, new = bench.fresh(bench.beat * 24), bench.fresh(bench.beat * 24)
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


def test_an_operator_forgets_with_its_mover(bench: Bench) -> None:
    """Neither a beat nor a constant of an aborted BD is left between mover and switch."""
    dev, data = bench.dev, bench.fresh(bench.beat * 20)
    bench.fill(1, data)
    adds = {"extensions": ("add_constant",), "parameters": {"add_constant": add_constant(1, 1)}}
    bench.start("P", 1, REGION, data.size, **adds)
    out = dev.allocate(data.size, np.uint8)
    bench.start("S2MM1", 1, out.device_address, data.size)
    bench.pause(80)
    dev.abort("P", "S2MM1")
    np.testing.assert_array_equal(bench.fetch(1, data.size), data)


def test_a_multicast_is_left_by_all_or_one(bench: Bench) -> None:
    dev, data = bench.dev, bench.fresh(bench.beat * 24)
    out = dev.allocate(data.size, np.uint8)
    sinks = ("Y", "S2MM1")
    bench.start("MM2S0", 1, data.device_address, data.size, route=sinks)
    token = bench.start("S2MM1", 1, out.device_address, data.size, route=("MM2S0",))
    bench.start("Y", 1, 0, data.size)
    bench.pause(100)
    if bench.pick.randrange(2):
        dev.abort("MM2S0", *sinks)
    else:
        stopped = dev.abort("Y")["Y"]
        if not stopped.retired:  # the others wait for it
            taken = stopped.progress
            bench.start("Y", 1, taken, data.size - taken)
        dev.wait("S2MM1", token)
        np.testing.assert_array_equal(out, data)
    for pair in range(2):
        bench.fill(pair, data)
        np.testing.assert_array_equal(bench.fetch(pair, data.size), data)


def test_a_ring_is_left_and_has_released_what_it_retired(bench: Bench) -> None:
    """Of a ring of a BD with rows and a lock, one without rows, and another."""
    dev, beat = bench.dev, bench.beat
    dev.registers.write_fields("system", "LOCK_SET", id=0, value=60)
    base, release = dev.transport.memory_base, {"release_delta": 1, "use_next": 1}
    take = {"acquire_enable": 1, "acquire_id": 0, "acquire_value": 1}
    bench.put("MM2S0", 0, base, beat, release_id=1, next=1, **release, **take)
    bench.put("MM2S0", 1, base, 0, release_id=2, next=2, **release)
    bench.put("MM2S0", 2, base, 3 * beat, release_id=3, next=0, **release)
    dev.push("MM2S0", 0)
    bench.put("Y", 0, 0, 4 * beat, use_next=1, next=0)
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


@pytest.mark.parametrize("end", ["MM2S0", "Y", "X", "S2MM0"])
def test_an_endless_copy_is_left_at_either_end(calm: Bench, end: str) -> None:
    """Its other end, which would go on for ever, keeps no abort waiting."""
    dev, data = calm.dev, calm.fresh(calm.beat * 40)
    ends = next(ends for pair in calm.pairs for ends in (pair[:2], pair[2:]) if end in ends)
    for name in ends:
        base = 0 if CROSSING.mover(name).is_scratchpad else data.device_address
        calm.start(name, 1, base, data.size, use_next=1, next=1)
    calm.simulation.wait_interrupt(100)
    dev.abort(end)
    (other,) = set(ends) - {end}
    assert (calm.state(end)["busy"], calm.state(other)["busy"]) == (0, 1)
    dev.abort(other)
    calm.fill(0, data)
    np.testing.assert_array_equal(calm.fetch(0, data.size), data)


def test_a_mover_that_waits_for_its_lock_takes_nothing(calm: Bench) -> None:
    dev, beat = calm.dev, calm.beat
    gate = {"acquire_enable": 1, "acquire_id": 3, "acquire_value": 2}
    calm.start("X", 0, 0, beat, **gate)
    dev.push("X", 0)
    calm.pause(20)
    assert calm.state("X")["locked"]
    assert dev.abort("X") == {"X": Stopped(retired=0, executions=0, progress=0)}
    assert not calm.state("X")["busy"]
    dev.registers.write_fields("system", "LOCK_SET", id=3, value=2)
    calm.pause(20)
    assert dev.locks.values[3] == 2
    # The slot keeps what it holds.
    out = dev.allocate(beat, np.uint8)
    dev.push("X", 0)
    dev.wait("S2MM0", calm.start("S2MM0", 0, out.device_address, beat))
    assert dev.locks.values[3] == 0


def test_a_push_meanwhile_is_refused_and_tokens_go_on(calm: Bench) -> None:
    dev, beat = calm.dev, calm.beat
    data = calm.fresh(beat * 4)
    calm.fill(0, data)
    calm.start("X", 0, 0, beat)
    first = dev.program.pushed("X")
    token = calm.start("Y", 0, 0, beat)
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
    calm.start("MM2S0", 0, data.device_address, beat)
    dev.wait("Y", token)
    np.testing.assert_array_equal(calm.fetch(0, data.size), data)


def test_an_iteration_begins_anew(calm: Bench) -> None:
    dev, beat = calm.dev, calm.beat
    data = calm.fresh(4 * beat)
    steps = {"iteration_size": 4, "iteration_stride": beat}
    calm.put("MM2S0", 0, data.device_address, beat, **steps)
    for _ in range(2):
        dev.push("MM2S0", 0, repeat=2)
        dev.wait("Y", calm.start("Y", 0, 0, 2 * beat))
        np.testing.assert_array_equal(calm.fetch(0, 2 * beat), data[: 2 * beat])
        dev.abort("MM2S0")


def test_no_name_is_everybody(calm: Bench) -> None:
    dev, beat = calm.dev, calm.beat
    calm.start("Y", 0, 0, beat)
    calm.start("S2MM1", 0, dev.transport.memory_base, beat)
    stopped = dev.abort()
    assert list(stopped) == [mover.name for mover in calm.config.movers]
    assert not any(calm.state(mover)["busy"] for mover in stopped)
    data = calm.fresh(100 * beat)
    for pair in range(2):
        calm.fill(pair, data)
        np.testing.assert_array_equal(calm.fetch(pair, data.size), data)


def test_an_abort_that_does_not_end_says_so(calm: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("weft.sw.abort.POLLS", 1)
    with pytest.raises(DeviceTimeout, match="an abort waits for X, S2MM0; X: 0 of 0 tasks"):
        calm.dev.abort("X", "S2MM0")


def test_a_program_pushes_to_a_mover_when_its_abort_is_over(calm: Bench) -> None:
    """A ring that a program began is left; the program and its tokens go on."""
    dev, beat = calm.dev, calm.beat
    data = calm.fresh(4 * beat)
    calm.fill(0, data)
    calm.put("X", 1, 0, data.size, use_next=1, next=1)
    dev.push("X", 1)
    calm.pause(20)
    out = dev.allocate(data.size, np.uint8)
    seq = RuntimeSequence(dev, checked=False)
    seq.dma_wait(seq.memcpy("out")(dev.scratchpad(0), out))
    dev.registers.write_fields("system", "ABORT", X=1)
    dev.program.forget("X")
    seq.run(via="program")
    np.testing.assert_array_equal(out, data)


def test_a_reset_leaves_what_was_reported(calm: Bench) -> None:
    dev, data = calm.dev, calm.fresh(100 * calm.beat)
    out = dev.allocate(data.size, np.uint8)
    counts = []
    for pause in (20, 60, 100):
        calm.fill(0, data)
        out[:] = 0
        calm.start("X", 0, 0, data.size)
        calm.start("S2MM0", 0, out.device_address, data.size)
        calm.simulation.wait_interrupt(pause)
        dev.reset()
        count = dev.registers.read("S2MM0", "PROGRESS")
        np.testing.assert_array_equal(out[:count], data[:count])
        assert not out[count:].any()
        counts.append(count)
    assert any(0 < count < data.size for count in counts)


@pytest.mark.parametrize("engine", ["model", "rtl"])
def test_the_array_is_reset_with_its_movers(engine: str) -> None:
    dev = Device(SystemModel(TINY), TINY) if engine == "model" else weft.simulate(TINY, FASTEST)
    a, b = dev.allocate((8, 12), np.int8), dev.allocate((12, 8), np.int8)
    out = dev.allocate((8, 8), np.int32)
    for operand in (a, b):
        operand[:] = np.arange(96).reshape(operand.shape) - 40
    for name, beats in (("A", 5), ("B", 3)):
        mover = TINY.mover(name)
        walk = contiguous(TINY.memory, mover, base=0, length=beats)
        dev.write_descriptor(name, 0, replace(walk, bounds=(beats,)))
        dev.push(name, 0)
    dev.transport.wait_interrupt(100)
    stopped = dev.abort("A", "B", "C", "D")
    assert not any(each.executions for each in stopped.values())
    dev.gemm(a, b, out=out)
    np.testing.assert_array_equal(out, a.astype(np.int32) @ b.astype(np.int32))
