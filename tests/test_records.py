"""What became of a task stands in memory before anybody sees that it has retired."""

import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest

from support.crossing import CROSSING, World, transfers
from support.engines import FASTEST
from support.pages import named_config
from weft.engines import open_simulation
from weft.hw.bus.fault import FaultCode
from weft.hw.bus.record import RING_PLACES
from weft.hw.bus.registers import RegisterError
from weft.hw.mover.descriptor import Descriptor
from weft.sim.dram import DramParameters, ErrorRange
from weft.sim.golden.operators import crc32c as golden
from weft.sim.golden.places import NOWHERE, places
from weft.sw.blocked import contiguous
from weft.sw.descriptor import BufferDescriptor
from weft.sw.device import Device
from weft.sw.errors import DeviceError, MappingError, RecordError
from weft.sw.operators import crc32c
from weft.sw.records import CompletionRecord
from weft.sw.sequence import RuntimeSequence

MEMORY_BYTES = 1 << 17
ALL = tuple(mover.name for mover in CROSSING.movers)
assert CROSSING.dma is not None
BURST = CROSSING.dma.burst_beats * CROSSING.dma.data_bytes
BAD = 0x1C000
"""Offset of the first of 32 beats that cannot be read, and of the first that cannot be written."""


HOME = 0x9000
"""Offset of what random transfers may touch; the rings are below."""


def soak(seeds: range) -> list[Any]:
    return [pytest.param(seed, marks=pytest.mark.soak) for seed in seeds]


class Bench:
    """A device whose movers all have records."""

    def __init__(self, simulation: Any) -> None:
        self.simulation = simulation
        self.dev = Device(simulation, CROSSING)
        self.dev.enable_records(*ALL)
        self.base = self.dev.transport.memory_base

    def write(self, name: str, slot: int, base: int, size: int, **fields: Any) -> None:
        """A recorded walk over `size` consecutive bytes."""
        mover = CROSSING.mover(name)
        if mover.is_scratchpad:
            walk = contiguous(CROSSING.memory, mover, base=base, length=size)
        else:
            walk = BufferDescriptor(base=base, bounds=(1,), strides=(0,), run_length=size)
        fields = {"record": 1, **fields}
        self.dev.write_descriptor(name, slot, BufferDescriptor(**vars(walk) | fields))

    def copy(self, source: int, target: int, size: int, **fields: Any) -> tuple[int, int]:
        """Within DRAM, by BD 0 of both ends; the tokens."""
        self.write("MM2S0", 0, source, size, route=("S2MM0",), **fields)
        self.write("S2MM0", 0, target, size, route=("MM2S0",))
        return self.dev.push("MM2S0", 0), self.dev.push("S2MM0", 0)

    def fails(self, mover: str, token: int) -> DeviceError:
        with pytest.raises(DeviceError) as caught:
            self.dev.wait(mover, token, timeout=20_000)
        self.settle(mover, token)
        return caught.value

    def settle(self, mover: str, token: int) -> None:
        """Wait for a task, whatever has failed."""
        for _ in range(1000):
            if self.dev.program.retired(mover) == token:
                return
        raise AssertionError(self.dev.program.describe())


@pytest.fixture(scope="module")
def machines() -> Iterator[Callable[..., Bench]]:
    """A device on a memory of any latency and backpressure; seed 0 has none."""
    with ExitStack() as stack:

        @cache
        def machine(seed: int) -> Any:
            toss = random.Random(seed)
            channels = ("stall_ar", "stall_r", "stall_aw", "stall_w", "stall_b")
            stalls = {channel: toss.choice([0, toss.randrange(231)]) for channel in channels}
            base = 0x8000_0000
            errors = (ErrorRange(start=base + BAD, stop=base + BAD + 32 * 8),)
            dram = DramParameters(
                read_latency=toss.randrange(100),
                write_latency=toss.randrange(200),
                seed=seed,
                read_errors=errors,
                write_errors=errors,
                **(stalls if seed else {}),
            )
            opened = open_simulation(CROSSING, FASTEST, memory_bytes=MEMORY_BYTES, dram=dram)
            simulation = stack.enter_context(opened)
            assert simulation.memory_base == base
            return simulation

        yield lambda seed: Bench(machine(seed))


@contextmanager
def no_record(token: int, text: str = "") -> Iterator[None]:
    with pytest.raises(RecordError, match=f"no record of task {token}: .*{text}"):
        yield


def random_bytes(bench: Bench, size: int, seed: object) -> Any:
    array = bench.dev.allocate(size, np.uint8)
    array[:] = np.frombuffer(random.Random(repr(seed)).randbytes(size), np.uint8)
    return array


def good(token: int, nbytes: int, **fields: Any) -> CompletionRecord:
    """A record of a success."""
    values = {"descriptor": 0, "result": None, "spoilt": False} | fields
    return CompletionRecord(
        token=token, done=True, code=FaultCode.NONE, address=0, nbytes=nbytes, **values
    )


def test_a_success_a_chain_and_a_task_without_a_record(machines: Callable[..., Bench]) -> None:
    bench = machines(0)
    dev = bench.dev
    a, b = random_bytes(bench, 600, 0), random_bytes(bench, 600, 1)
    read, written = bench.copy(a.device_address, b.device_address, 600)
    dev.wait("S2MM0", written)
    dev.wait("MM2S0", read)
    np.testing.assert_array_equal(a, b)
    assert dev.record("MM2S0", read) == good(1, 600)
    assert dev.record("S2MM0", written) == good(1, 600)
    # Only the BD that ends the task counts: three of 100, 50 and no bytes, twice; then without.
    for record in (1, 0):
        for name, array, other in (("MM2S0", a, "S2MM0"), ("S2MM0", b, "MM2S0")):
            first, more = array.device_address, {"use_next": 1, "record": 0, "route": (other,)}
            bench.write(name, 1, first, 100, **more | {"next": 2})
            bench.write(name, 2, first + 100, 50, **more | {"next": 3})
            bench.write(name, 3, first, 0, route=(other,), record=record)
            dev.push(name, 1, repeat=2)
        dev.wait("MM2S0", 3 - record)
        dev.wait("S2MM0", 3 - record)
    for name in ("MM2S0", "S2MM0"):
        assert dev.record(name, 2) == good(2, 300, descriptor=3)
        with no_record(3, "holds none"):
            dev.record(name, 3)


def test_a_burst_of_bad_beats_is_one_record(machines: Callable[..., Bench]) -> None:
    """Of 1000 bytes 256 in the middle are bad, in whole bursts of 128 or in parts of some."""
    bench = machines(0)
    dev = bench.dev
    target = random_bytes(bench, 1000, 1)
    for before in (256, 200):
        start = bench.base + BAD - before
        read, written = bench.copy(start, target.device_address, 1000)
        failed = bench.fails("MM2S0", read)
        assert (failed.mover, failed.descriptor) == ("MM2S0", 0)
        bench.settle("S2MM0", written)
        one, other = dev.record("MM2S0", read), dev.record("S2MM0", written)
        first = (BAD + bench.base) // BURST * BURST
        assert (one.done, one.code) == (False, FaultCode.READ_SLVERR)
        assert start <= one.address <= first < one.address + BURST
        assert one.address == failed.address
        assert one.nbytes == 1000 - 256
        assert (other.done, other.code) == (False, FaultCode.UPSTREAM)
        dev.reset()
        with no_record(1):
            dev.record("MM2S0", 1)


def test_a_bad_write_is_one_record_and_the_next_task_has_its_own(
    machines: Callable[..., Bench],
) -> None:
    bench = machines(0)
    dev = bench.dev
    a = random_bytes(bench, 1024, 1)
    target = bench.base + BAD - 512
    read, written = bench.copy(a.device_address, target, 1024)
    assert bench.fails("S2MM0", written).address == bench.base + BAD
    record = dev.record("S2MM0", written)
    assert (record.code, record.address) == (FaultCode.WRITE_SLVERR, bench.base + BAD)
    assert record.nbytes == 1024 - 256
    assert dev.record("MM2S0", read) == good(1, 1024)
    dev.push("MM2S0", 0)
    bench.write("S2MM0", 1, a.device_address, 1024, route=("MM2S0",))
    after = dev.push("S2MM0", 1)
    bench.settle("S2MM0", after)
    assert dev.record("S2MM0", after) == good(after, 1024, descriptor=1)


def test_faults_of_windows_and_of_descriptors(machines: Callable[..., Bench]) -> None:
    bench = machines(0)
    dev = bench.dev
    a, b = random_bytes(bench, 600, 0), random_bytes(bench, 600, 1)
    page = b.device_address // 4096 * 4096
    dev.confine("S2MM0", [(page + 8192, 4096)])
    _, written = bench.copy(a.device_address, b.device_address, 600)
    bench.fails("S2MM0", written)
    record = dev.record("S2MM0", written)
    assert (record.done, record.code, record.nbytes) == (False, FaultCode.WINDOW, 0)
    assert record.address == b.device_address // 8 * 8
    dev.confine("S2MM0", [])
    dev.reset()
    # A chain whose second BD sets a field that the mover does not have; a slot that is not there.
    bench.write("MM2S0", 0, a.device_address, 100, route=("S2MM0",), use_next=1, next=1)
    bench.write("MM2S0", 1, a.device_address, 100, route=("S2MM0",))
    bench.write("S2MM0", 0, b.device_address, 100, route=("MM2S0",))
    words = dev.program.encode("MM2S0", BufferDescriptor(base=0, route=("S2MM0",), record=1))
    dev.registers.write_slot("MM2S0", 1, {1: words[1] | 1 << 4})
    dev.push("S2MM0", 0)
    bench.fails("MM2S0", dev.push("MM2S0", 0))
    assert dev.record("MM2S0", 1) == CompletionRecord(
        token=1,
        done=False,
        code=FaultCode.UNSUPPORTED,
        descriptor=1,
        address=0,
        nbytes=100,
        result=None,
        spoilt=False,
    )


def test_a_record_that_cannot_be_written(machines: Callable[..., Bench]) -> None:
    """Is a fault of its mover, which goes on."""
    bench = machines(0)
    dev = bench.dev
    a, b = random_bytes(bench, 600, 0), random_bytes(bench, 600, 1)
    ring = bench.base + BAD // 2048 * 2048
    dev.registers.write("S2MM0", "RECORDS_LOW", ring & 0xFFFF_FFFF)
    # Two tasks of no bytes, until one's place is bad: it is place 0 of its ring, that of token 64.
    skip = (BAD % 2048) // 32 or RING_PLACES
    bench.write("S2MM0", 1, b.device_address, 0, route=("MM2S0",), record=0)
    for _ in range(skip - 1):
        dev.wait("S2MM0", dev.push("S2MM0", 1))
    _, written = bench.copy(a.device_address, b.device_address, 600)
    failed = bench.fails("S2MM0", written)
    assert (failed.mover, failed.descriptor, failed.address) == ("S2MM0", 0, bench.base + BAD)
    assert "the writing of a task's record with SLVERR" in str(failed)
    np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("seed", range(4))
def test_a_hundred_tasks_and_who_sees_a_token_sees_its_record(
    machines: Callable[..., Bench], seed: int
) -> None:
    """The ring wraps; RETIRED is never ahead of memory."""
    bench, toss = machines(seed), random.Random(seed)
    dev = bench.dev
    a, b = random_bytes(bench, 64, 0), dev.allocate(64, np.uint8)
    sizes: list[int] = []
    seen = dict.fromkeys(("MM2S0", "S2MM0"), 0)

    def look(mover: str) -> None:
        now = dev.program.retired(mover)
        for token in range(seen[mover] + 1, now + 1):
            assert dev.record(mover, token) == good(
                token, sizes[token - 1], descriptor=sizes[token - 1] // 16
            )
        seen[mover] = now

    for slot in range(4):
        bench.write("MM2S0", slot, a.device_address, 16 * slot + 8, route=("S2MM0",))
        bench.write("S2MM0", slot, b.device_address, 16 * slot + 8, route=("MM2S0",))
    for _ in range(100):
        slot = toss.randrange(4)
        sizes.append(16 * slot + 8)
        for mover in seen:
            while len(dev.program.ledger(mover).pending) == 4:
                look(mover)
            dev.push(mover, slot, interrupt=toss.random() < 0.3)
            look(mover)
    for mover in seen:
        dev.wait(mover, 100)
        look(mover)
        assert dev.record(mover, 101 - RING_PLACES).token == 101 - RING_PLACES
        with no_record(36, "that of task 100"):
            dev.record(mover, 36)


@pytest.mark.parametrize("seed", range(6))
def test_the_crc_of_random_copies(machines: Callable[..., Bench], seed: int) -> None:
    """From DRAM and from the scratchpad, wanted or not, continued or not."""
    bench, toss = machines(seed), random.Random(seed)
    dev, page = bench.dev, 0x800
    for name, sink in (("MM2S0", "Y"), ("X", "S2MM0")):
        data = random_bytes(bench, page, (seed, name))
        out = dev.allocate(page, np.uint8)
        if name == "X":
            with RuntimeSequence(dev) as fill:
                fill.memcpy("in")(data, dev.scratchpad(0))
                fill.dma_wait("in")
            fill.run()
        before = {end: dev.program.pushed(end) for end in (name, sink)}
        first, into = (0, out.device_address) if name == "X" else (data.device_address, 0)
        expected = []
        for slot in range(4):
            size = 8 * toss.randint(1, 60) if toss.random() < 0.7 else 8
            at = 8 * toss.randrange((page - size) // 8)
            wants, follows = toss.random() < 0.7, toss.getrandbits(32) * toss.randrange(2)
            ends = {"route": (sink,), "record": int(toss.random() < 0.8)}
            parameters = {"crc32c": crc32c(follows)}
            given = {"extensions": ("crc32c",), "parameters": parameters} if wants else {}
            bench.write(name, slot, first + at, size, **given | ends)
            bench.write(sink, slot, into, size, route=(name,))
            crc = golden(data[at : at + size].tobytes(), follows) if wants else None
            token = dev.push(name, slot)
            dev.push(sink, slot)
            expected.append((token, ends["record"], good(token, size, descriptor=slot, result=crc)))
        for end in (name, sink):
            dev.wait(end, before[end] + 4)
        for token, recorded, record in expected:
            if recorded:
                assert dev.record(name, token) == record
            else:
                with no_record(token):
                    dev.record(name, token)


def test_the_crc_of_what_a_fault_spoilt(machines: Callable[..., Bench]) -> None:
    bench = machines(1)
    out = bench.dev.allocate(1000, np.uint8)
    start = bench.base + BAD - 100
    given = {"extensions": ("crc32c",)}
    read, _ = bench.copy(start, out.device_address, 300, **given)
    bench.fails("MM2S0", read)
    record = bench.dev.record("MM2S0", read)
    assert (record.done, record.spoilt) == (False, True)
    assert record.result is not None


def test_records_of_a_program(machines: Callable[..., Bench]) -> None:
    """Pushes of the sequencer, whose record goes its own way, between resets."""
    bench = machines(2)
    dev = bench.dev
    a, b = random_bytes(bench, 512, 0), random_bytes(bench, 512, 1)
    for _ in range(2):
        dev.reset()
        b[:] = 0
        with RuntimeSequence(dev) as seq:
            for name, array, other in (("MM2S0", a, "S2MM0"), ("S2MM0", b, "MM2S0")):
                walk = BufferDescriptor(
                    base=array.device_address,
                    bounds=(1,),
                    strides=(0,),
                    run_length=512,
                    route=(other,),
                    record=1,
                )
                seq.write_bd(name, 2, walk)
                end = seq.push_queue(name, 2, repeat=3)
            seq.dma_wait(end)
        seq.run(via="program")
        np.testing.assert_array_equal(a, b)
        assert dev.record("S2MM0", 1) == good(1, 3 * 512, descriptor=2)


@pytest.mark.parametrize("seed", [*range(8), *soak(range(8, 400))])
def test_an_abort_writes_the_records_of_what_is_over(
    machines: Callable[..., Bench], seed: int
) -> None:
    """At any time, of both ends or of the source alone, whose last words nobody takes."""
    bench, toss = machines(seed % 8), random.Random(seed)
    dev = bench.dev
    data = random_bytes(bench, 4096, seed)
    pushed: list[tuple[int, int]] = []
    nothing = {"bounds": (0,), "strides": (0,)}
    bench.write("X", 3, 0, 8, route=("S2MM0",), **nothing)
    bench.write("S2MM0", 3, data.device_address, 8, route=("X",), **nothing)
    for slot in range(3):
        size, follows = 8 * toss.randint(1, 40), toss.choice([{}, {"use_next": 1, "next": 3}])
        given = {"extensions": ("crc32c",)} if toss.randrange(2) else {}
        bench.write("X", slot, 0, size, route=("S2MM0",), **given | follows)
        bench.write("S2MM0", slot, data.device_address, size, route=("X",), **follows)
        pushed.append((size, toss.randint(1, 3)))
    both = toss.randrange(4)
    for slot, (_, repeat) in enumerate(pushed):
        dev.push("X", slot, repeat=repeat)
        if slot < both:
            dev.push("S2MM0", slot, repeat=repeat)
    bench.simulation.wait_interrupt(toss.randrange(1, 1000))
    stopped = dev.abort("X") if toss.randrange(2) else {}
    stopped |= dev.abort("X", "S2MM0")
    for name, how in stopped.items():
        for token, (size, repeat) in enumerate(pushed[: how.retired], 1):
            record = dev.record(name, token)
            assert record.done
            # A source's record does not wait for what nobody takes any more.
            assert record.nbytes == size * repeat or (name == "X" and record.nbytes < size * repeat)
    # All goes on.
    bench.write("X", 0, 0, 200, route=("S2MM0",), extensions=("crc32c",))
    bench.write("S2MM0", 0, data.device_address, 200, route=("X",))
    tokens = {name: dev.push(name, 0) for name in ("X", "S2MM0")}
    for name, token in tokens.items():
        dev.wait(name, token)
    assert dev.record("S2MM0", tokens["S2MM0"]) == good(tokens["S2MM0"], 200)
    crc = golden(data[:200].tobytes())
    assert dev.record("X", tokens["X"]) == good(tokens["X"], 200, result=crc)


@pytest.mark.parametrize("seed", range(6))
def test_a_reset_at_any_time(machines: Callable[..., Bench], seed: int) -> None:
    """Ends what has begun on the bus, and records begin anew."""
    bench, toss = machines(seed % 4), random.Random(seed)
    dev = bench.dev
    a, b = random_bytes(bench, 256, 0), random_bytes(bench, 256, 1)
    for _ in range(10):
        size = toss.randint(1, 256)
        for _ in range(toss.randint(1, 4)):
            bench.copy(a.device_address, b.device_address, size)
            bench.simulation.wait_interrupt(toss.randrange(1, 60))
            if len(dev.program.ledger("MM2S0").pending):
                break
        dev.reset()
        for name in ("MM2S0", "S2MM0"):
            with no_record(1, "holds none"):
                dev.record(name, 1)
        read, written = bench.copy(a.device_address, b.device_address, size)
        dev.wait("S2MM0", written)
        dev.wait("MM2S0", read)
        assert dev.record("MM2S0", 1) == good(1, size)
        assert dev.record("S2MM0", 1) == good(1, size)


@pytest.mark.parametrize("seed", [*range(6), *soak(range(6, 300))])
def test_random_transfers_are_recorded(machines: Callable[..., Bench], seed: int) -> None:
    """Any walks, guards, operators and multicasts on every path at once."""
    bench, toss = machines(seed % 8), random.Random(seed)
    dev, memory = bench.dev, bench.dev.transport.memory
    memory[HOME:BAD] = np.frombuffer(toss.randbytes(BAD - HOME), np.uint8)
    world = World(CROSSING, bench.base, memory.copy())
    expected: list[tuple[str, int, int, int | None, bool]] = []
    made = transfers(CROSSING, toss, bench.base + HOME, 3)
    for transfer in made:
        world.resemble(transfer, toss)
    memory[:] = world.dram
    for transfer in made:
        given, known = 0, not CROSSING.mover(transfer.source[0][0]).is_scratchpad
        differences = iter(world.results(transfer))
        for index, steps in enumerate((transfer.source, *transfer.sinks, transfer.compared)):
            moved = 0
            for name, walk in steps:
                mover = CROSSING.mover(name)
                where = places(CROSSING, mover, walk)
                size, found = len(where), None
                if index == 0:
                    given += size
                    if walk.extensions == ("crc32c",):
                        found = golden(world.given(name, walk).tobytes(), walk.parameters["crc32c"])
                elif mover.is_source:
                    found = next(differences)
                elif name in ("S2MM0", "S2MM1"):
                    size = int((where != NOWHERE).sum())
                else:
                    size = min(size, given - moved)
                moved += len(where)
                dev.program.wait_room(name)
                slot = dev.program.place(name, replace(walk, record=1))
                token = dev.program.push(name, slot)
                expected.append((name, token, size, found, known))
    for name, token, size, result, known in expected:
        dev.wait(name, token)
        record = dev.record(name, token)
        assert (record.done, record.nbytes) == (True, size)
        assert (record.result is None) == (result is None)
        assert record.result == result or not known


def test_a_mover_without_a_ring_writes_no_record(machines: Callable[..., Bench]) -> None:
    """Nor does a result that nobody takes hold its stream up."""
    bench = machines(0)
    dev: Any = Device(bench.simulation, CROSSING)
    bench.dev, taken = dev, dev.allocate(2 * 64 * 40, np.uint8)
    before = bytes(dev.transport.memory)
    given = {"extensions": ("crc32c",)}
    for _ in range(40):
        read, written = bench.copy(taken.device_address, taken.device_address, 64, **given)
        dev.wait("MM2S0", read)
        dev.wait("S2MM0", written)
    assert bytes(dev.transport.memory) == before


def test_where_there_are_none(machines: Callable[..., Bench]) -> None:
    bench = machines(0)
    plain = Device(bench.simulation, CROSSING)
    with pytest.raises(RecordError, match="X has no records: Device"):
        plain.record("X", 1)
    with pytest.raises(RegisterError, match="no page 'Z'"):
        plain.enable_records("Z")
    with pytest.raises(MappingError, match=r"system of .* writes none"):
        plain.enable_records("system")
    with pytest.raises(MappingError, match="before = -1: must be from 0"):
        crc32c(-1)


@pytest.mark.soak
def test_a_product_whose_tasks_are_all_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The array's movers have records as well; without a switch."""
    tiny = named_config("tiny")
    assert tiny.dma is not None
    config = replace(tiny, dma=replace(tiny.dma, records=True))
    encode = BufferDescriptor.encode

    def recorded(descriptor: BufferDescriptor, spec: Descriptor) -> list[int]:
        return encode(replace(descriptor, record=1), spec)

    monkeypatch.setattr(BufferDescriptor, "encode", recorded)
    with open_simulation(config, "python", memory_bytes=MEMORY_BYTES) as simulation:
        dev: Any = Device(simulation, config)
        dev.enable_records(*(mover.name for mover in config.movers))
        a, b = dev.allocate((9, 5), np.int8), dev.allocate((5, 6), np.int8)
        c = dev.allocate((9, 6), np.int32)
        a[:], b[:] = np.arange(45).reshape(9, 5) - 20, 3
        dev.gemm(a, b, out=c)
        np.testing.assert_array_equal(c, a.astype(int) @ b.astype(int))
        # Whole tiles of the operands, each in its time; of the result, what there is of it.
        moved = {
            mover.name: [
                dev.record(mover.name, token).nbytes
                for token in range(1, dev.program.retired(mover.name) + 1)
            ]
            for mover in config.movers
        }
        assert moved["S2MM0"] == [c.nbytes]
        assert sum(moved["A"]) == sum(moved["B"]) == 3 * 2 * 2 * 16
        assert sum(moved["D"]) == 3 * 2 * 64
