"""Two pieces of memory compared on the way: what the record says, and who waits for whom."""

import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from typing import Any

import numpy as np
import pytest

from support.crossing import CROSSING
from support.engines import FASTEST
from weft.engines import open_simulation
from weft.hw.bus.fault import FaultCode
from weft.hw.dma.operators.compare import EQUAL, LAST_OFFSET
from weft.hw.mover.monitor import StallCause
from weft.sim.dram import DramParameters, ErrorRange
from weft.sw.blocked import contiguous
from weft.sw.descriptor import BufferDescriptor
from weft.sw.device import Device
from weft.sw.errors import (
    DeviceError,
    DeviceTimeout,
    MappingError,
    RecordError,
    SequenceError,
)
from weft.sw.operators import compare, first_difference
from weft.sw.sequence import RuntimeSequence

MEMORY_BYTES = 1 << 17
BAD = 0x1C000
"""Offset of 32 beats that cannot be read."""
COMPARER = "MM2S2"
MEETS: dict[str, Any] = {"extensions": ("compare",), "record": 1}


class Bench:
    """A device whose comparer has records."""

    def __init__(self, simulation: Any) -> None:
        self.dev = Device(simulation, CROSSING)
        self.dev.enable_records(COMPARER)
        self.base = self.dev.transport.memory_base

    def array(self, content: Any) -> Any:
        array = self.dev.allocate(len(content), np.uint8)
        array[:] = np.frombuffer(bytes(content), np.uint8)
        return array

    def push(self, name: str, slot: int, base: int, size: int, *route: str, **fields: Any) -> int:
        """A walk over `size` consecutive bytes; its token."""
        mover = CROSSING.mover(name)
        if mover.is_scratchpad:
            walk = contiguous(CROSSING.memory, mover, base=base, length=size)
        else:
            walk = BufferDescriptor(base=base, bounds=(1,), strides=(0,), run_length=size)
        descriptor = BufferDescriptor(**vars(walk) | {"route": route} | fields)
        self.dev.write_descriptor(name, slot, descriptor)
        return self.dev.push(name, slot)

    def result(self, token: int) -> Any:
        self.dev.wait(COMPARER, token)
        return self.dev.record(COMPARER, token).result

    def stall(self, name: str) -> int:
        return int(self.dev.registers.fields(name, "STATUS")["stall"])


@pytest.fixture(scope="module")
def machines() -> Iterator[Callable[[int], Bench]]:
    """A device on a memory of any latency and backpressure; seed 0 has none."""
    with ExitStack() as stack:

        @cache
        def machine(seed: int) -> Any:
            toss = random.Random(seed)
            stalls = {
                f"stall_{name}": toss.choice([0, toss.randrange(231)]) for name in ("ar", "r")
            }
            base = 0x8000_0000
            dram = DramParameters(
                read_latency=toss.randrange(100),
                seed=seed,
                read_errors=(ErrorRange(start=base + BAD, stop=base + BAD + 32 * 8),),
                **(stalls if seed else {}),
            )
            opened = open_simulation(CROSSING, FASTEST, memory_bytes=MEMORY_BYTES, dram=dram)
            return stack.enter_context(opened)

        yield lambda seed: Bench(machine(seed))


@pytest.mark.parametrize("seed", range(4))
def test_where_two_arrays_differ(machines: Callable[[int], Bench], seed: int) -> None:
    """Nowhere, in the first byte, the last, in between, or at the end of the shorter one."""
    bench, toss = machines(seed), random.Random(seed)
    dev = bench.dev
    content = toss.randbytes(500)
    for left, right in ((0, 0), (1, 3), (7, 2)):
        a = bench.array(bytes(left) + content)[left:]
        b = bench.array(bytes(right) + content)[right:]
        assert dev.compare(a, b) is None
        for place in (0, 499, toss.randrange(500)):
            b[place] ^= 1 << toss.randrange(8)
            assert dev.compare(a, b) == place
            assert dev.compare(a[:place], b[:place]) is None if place else True
            b[place] = content[place]
        for shorter in (1, 7, 496, 499):
            assert dev.compare(a[:shorter], b) == dev.compare(a, b[:shorter]) == shorter


def test_a_view_beside_the_scratchpad(machines: Callable[[int], Bench]) -> None:
    """In the order of the walk; and between two places in the scratchpad nobody compares here."""
    bench = machines(0)
    dev = bench.dev
    a = bench.array(range(240)).reshape(15, 16)
    where = dev.scratchpad(0x100)
    dev.send(a.T, to=where).wait()
    assert dev.compare(a.T, where) is None
    a[3, 5] ^= 1
    assert dev.compare(where, a.T) == 5 * 15 + 3
    with pytest.raises(SequenceError, match="nbytes = 60: must be a positive multiple of the 8"):
        dev.compare(a[:4, :15], where)
    with pytest.raises(SequenceError, match="nbytes = 8: an end in DRAM says how much"):
        dev.compare(a, where, nbytes=8)
    with pytest.raises(SequenceError, match=r"takes a read and a read mover .* 'compare', and"):
        dev.compare(where, where, nbytes=8)


@pytest.mark.parametrize("via", ["registers", "program"])
def test_in_a_sequence(machines: Callable[[int], Bench], via: str) -> None:
    bench = machines(1)
    dev = bench.dev
    a, b = bench.array(range(200)), bench.array(range(200))
    b[77] = 0
    with RuntimeSequence(dev) as seq:
        what = seq.argument(200, np.uint8)
        tokens = [seq.compare(a, what), seq.compare(what, a)]
        for token in tokens:
            seq.dma_wait(token)
    for given, expected in ((a, None), (b, 77)):
        before = dev.program.pushed(COMPARER)
        seq.run(given, via=via)
        for token in tokens:
            assert token.mover == COMPARER
            found = dev.record(COMPARER, before + token.count)
            assert first_difference(found) == expected
    unrecorded = RuntimeSequence(Device(dev.transport, CROSSING))
    with pytest.raises(RecordError, match="MM2S2 has no records: "):
        unrecorded.compare(a, b)


def test_what_is_copied_is_compared_on_the_way(machines: Callable[[int], Bench]) -> None:
    """The other source goes to a sink in DRAM and one in the scratchpad as well."""
    bench = machines(2)
    dev, content = bench.dev, random.Random(2).randbytes(400)
    a, b, out = bench.array(content), bench.array(content), dev.allocate(400, np.uint8)
    b[211] ^= 0x10
    bench.push("MM2S0", 0, a.device_address, 400, COMPARER, "S2MM0", "Y")
    bench.push("Y", 0, 0, 400, "MM2S0")
    ends = bench.push("S2MM0", 0, out.device_address, 400, "MM2S0")
    token = bench.push(
        COMPARER, 0, b.device_address, 400, "MM2S0", **MEETS, parameters={"compare": compare(1000)}
    )
    assert bench.result(token) == 1211
    dev.wait("S2MM0", ends)
    np.testing.assert_array_equal(out, a)
    assert dev.compare(a, dev.scratchpad(0)) is None


def test_a_comparer_is_a_source_between_comparisons(machines: Callable[[int], Bench]) -> None:
    """BDs of one, of the other, and of no bytes, in a chain; the last one's result counts."""
    bench = machines(3)
    dev = bench.dev
    a, b, out = bench.array(range(64)), bench.array(range(64)), dev.allocate(64, np.uint8)
    b[40] = 0
    rest = BufferDescriptor(base=a.device_address + 32, run_length=32, route=(COMPARER,))
    dev.write_descriptor("MM2S0", 1, rest)
    bench.push("MM2S0", 0, a.device_address, 32, COMPARER, use_next=1, next=1)
    bench.push("S2MM0", 0, out.device_address, 64, COMPARER)
    chain = [
        ("MM2S0", 0, 32, MEETS),
        ("S2MM0", 0, 64, {}),
        ("MM2S0", 32, 0, MEETS),
        ("MM2S0", 32, 32, {**MEETS, "parameters": {"compare": compare(32)}}),
    ]
    for slot, (other, at, size, fields) in enumerate(chain):
        follows = {"use_next": 1, "next": slot + 1} if slot + 1 < len(chain) else {}
        walk = BufferDescriptor(
            base=b.device_address + at, run_length=size, route=(other,), **fields | follows
        )
        dev.write_descriptor(COMPARER, slot, walk)
    assert bench.result(dev.push(COMPARER, 0)) == 40
    np.testing.assert_array_equal(out, b)
    # A task that ends with a BD which passes has no result.
    bench.push("S2MM0", 0, out.device_address, 64, COMPARER)
    token = bench.push(COMPARER, 0, b.device_address, 64, "S2MM0", record=1)
    assert bench.result(token) is None
    with pytest.raises(RecordError, match=f"task {token} has no result"):
        first_difference(dev.record(COMPARER, token))


@pytest.mark.parametrize("failing", ["MM2S1", COMPARER])
def test_a_fault_on_either_side(machines: Callable[[int], Bench], failing: str) -> None:
    """The result says so, and both ends go on."""
    bench = machines(1)
    dev = bench.dev
    good = bench.array(bytes(400))
    start = {name: good.device_address for name in ("MM2S1", COMPARER)}
    start[failing] = bench.base + BAD - 100
    bench.push("MM2S1", 0, start["MM2S1"], 400, COMPARER)
    token = bench.push(COMPARER, 0, start[COMPARER], 400, "MM2S1", **MEETS)
    with pytest.raises(DeviceError, match=f"mover {failing}, BD 0, .* a read with SLVERR"):
        bench.result(token)
    while dev.program.retired(COMPARER) != token:
        pass
    record = dev.record(COMPARER, token)
    assert (record.done, record.spoilt) == (failing != COMPARER, True)
    assert record.code == (FaultCode.READ_SLVERR if failing == COMPARER else FaultCode.NONE)
    with pytest.raises(RecordError, match=f"record of task {token} compares what a fault spoilt"):
        first_difference(record)
    dev.registers.write_fields(failing, "CONTROL", clear_error=1)
    dev.reset()
    assert dev.compare(good, good) is None


@pytest.mark.parametrize("stays", ["MM2S0", COMPARER])
def test_an_end_is_aborted_and_comes_again(machines: Callable[[int], Bench], stays: str) -> None:
    """The one that stays waits at the switch, and what it meets then is a comparison of its own."""
    bench = machines(0)
    dev, content = bench.dev, random.Random(0).randbytes(4000)
    a, b = bench.array(content), bench.array(content)
    goes = ({"MM2S0", COMPARER} - {stays}).pop()
    for pause in (0, 60, 200):

        def begin(name: str, skip: int = 0) -> int:
            fields = MEETS if name == COMPARER else {}
            place = (b if name == COMPARER else a).device_address + skip
            other = "MM2S0" if name == COMPARER else COMPARER
            return bench.push(name, 0, place, 4000 - skip, other, **fields)

        tokens = {name: begin(name) for name in ("MM2S0", COMPARER)}
        dev.transport.wait_interrupt(1 + pause)
        moved = dev.abort(goes)[goes].progress
        assert moved % 8 == 0
        dev.transport.wait_interrupt(300)
        assert bench.stall(stays) == StallCause.SWITCH
        if stays == COMPARER:
            # Whole beats, that it has compared with as many of its own: both go on from there.
            bench.push("MM2S0", 0, a.device_address + moved, 4000 - moved, COMPARER)
            assert bench.result(tokens[COMPARER]) == EQUAL
        else:
            assert bench.result(begin(COMPARER, moved)) == EQUAL
            dev.wait("MM2S0", tokens["MM2S0"])
    assert dev.compare(a, b) is None


def test_both_ends_are_aborted(machines: Callable[[int], Bench]) -> None:
    """In mid-comparison, one that has ended before among them: nothing of it is left."""
    bench = machines(2)
    dev = bench.dev
    a, b, out = bench.array(range(240)), bench.array(range(240)), dev.allocate(40, np.uint8)
    for size in (8, 200):
        # Another sink stops the other source after 40 bytes.
        bench.push("S2MM0", 0, out.device_address, 40, "MM2S0")
        bench.push("MM2S0", 0, a.device_address, 240, COMPARER, "S2MM0")
        token = bench.push(COMPARER, 0, b.device_address, size, "MM2S0", **MEETS)
        dev.transport.wait_interrupt(1000)
        assert dev.program.retired(COMPARER) == token - 1
        stopped = dev.abort(COMPARER, "MM2S0", "S2MM0")
        assert stopped["MM2S0"].progress == 40
        # What has ended is a task that is done, although it was not told what it differs in.
        assert stopped[COMPARER].retired == token - (size > 40)
        # The comparer has the beat that the other sink does not take.
        assert stopped[COMPARER].progress == (0 if size < 40 else 48)
        if size < 40:
            assert dev.record(COMPARER, token).result is None
        assert dev.compare(a, b) is None


def test_two_that_do_not_name_each_other(machines: Callable[[int], Bench]) -> None:
    """Both wait, visibly, and the check says why before anything runs."""
    bench = machines(0)
    dev = bench.dev
    a = bench.array(range(64))
    walk = BufferDescriptor(base=a.device_address, run_length=64)
    seq = RuntimeSequence(dev, checked=False)

    def put(name: str, *route: str, **fields: Any) -> Any:
        seq.write_bd(name, 0, BufferDescriptor(**vars(walk) | {"route": route} | fields))
        return seq.push_queue(name, 0)

    end = put(COMPARER, "MM2S1", **MEETS)
    put("MM2S0", COMPARER)
    seq.dma_wait(end)
    (stuck,) = seq.check().errors
    assert "MM2S2 (task 1, BD 0) waits for data from MM2S1; MM2S1 has no task" in stuck
    with pytest.raises(DeviceTimeout, match="waits for the mover at the other end"):
        seq.run(timeout=500)
    assert bench.stall("MM2S0") == bench.stall(COMPARER) == StallCause.SWITCH
    dev.reset()
    # A source that names the comparer, which does not compare; the other way round it is one.
    seq = RuntimeSequence(dev, checked=False)
    put("MM2S0", COMPARER)
    put(COMPARER, "S2MM0")
    assert any("MM2S0 (task 1, BD 0) waits for room in MM2S2" in e for e in seq.check().errors)
    seq = RuntimeSequence(dev, checked=False)
    put("MM2S0", COMPARER)
    seq.dma_wait(put(COMPARER, "MM2S0", **MEETS))
    assert seq.check().errors == ()


def test_the_check_lets_the_longer_go_to_its_end(machines: Callable[[int], Bench]) -> None:
    bench = machines(0)
    dev = bench.dev
    a = bench.array(range(64))
    for sizes in ((64, 10), (10, 64)):
        with RuntimeSequence(dev) as seq:
            for _ in range(2):
                seq.dma_wait(seq.compare(a[: sizes[0]], a[: sizes[1]]))
        seq.run()


@pytest.mark.parametrize(
    ("fields", "route"), [(MEETS, 1 << 2 | 0), ({}, 1 << 2), (MEETS, 5), ({}, 1 << 5), ({}, 0)]
)
def test_a_route_that_cannot_be_is_a_fault(
    machines: Callable[[int], Bench], fields: dict[str, Any], route: int
) -> None:
    """The comparer itself, somebody who is not there, or nobody."""
    assert CROSSING.switch_sinks[2:3] == (COMPARER,)
    assert CROSSING.switch_sources[4:] == (COMPARER,)
    bench = machines(0)
    dev = bench.dev
    dev.reset()
    end = ("MM2S0",) if fields else ("S2MM0",)
    walk = BufferDescriptor(base=bench.base, run_length=8, route=end, **fields)
    words = dev.program.encode(COMPARER, walk)
    dev.write_descriptor(COMPARER, 0, walk)
    dev.registers.write_slot(COMPARER, 0, {1: words[1] & ~(0xFF << 23) | route << 23})
    token = dev.push(COMPARER, 0)
    with pytest.raises(DeviceError, match=r"MM2S2, BD 0.*: a descriptor field does not fit"):
        dev.wait(COMPARER, token)
    dev.reset()


def test_offsets_that_cannot_be() -> None:
    assert compare(LAST_OFFSET) == LAST_OFFSET
    with pytest.raises(MappingError, match="before = 4294967295: must be from 0 to 4294967294"):
        compare(EQUAL)
