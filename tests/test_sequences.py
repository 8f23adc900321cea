"""Runtime sequences on the gateware: the seed's program, chains, rings, locks."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import weft
from support.sequences import WALK_X, WALK_Y, dram_walk
from weft.config import load_config
from weft.hw.bus.opcodes import Opcode, instruction
from weft.hw.config import SequencerConfig
from weft.hw.mover.descriptor import Descriptor
from weft.sw import BufferDescriptor
from weft.sw.allocator import Allocator
from weft.sw.errors import (
    DescriptorError,
    DeviceError,
    DeviceTimeout,
    LockError,
    SequenceError,
)
from weft.sw.locks import locked
from weft.sw.sequence import RuntimeSequence

TINY = load_config("tiny")
CONFIG = replace(
    TINY,
    name="copier",
    array=None,
    movers=tuple(mover for mover in TINY.movers if not mover.bind.startswith("array")),
    sequencer=SequencerConfig(),
)
"""The small system without its array: what is left moves data."""

VIA = ("registers", "program")


@pytest.fixture(scope="module")
def device() -> Any:
    return weft.simulate(CONFIG, engine="python")


@pytest.fixture
def dev(device: Any) -> Any:
    """The device as new."""
    device.reset()
    transport = device.transport
    device.allocator = Allocator(transport.memory, transport.memory_base)
    return device


@pytest.fixture
def memory(dev: Any) -> Any:
    """Two arrays of 64 words."""
    a, out = dev.allocate(64, np.int32), dev.allocate(64, np.int32)
    a[:] = np.arange(64) + 24
    return a, out


def add_one(dev: Any, *, swap: bool = False, equal: bool = False) -> Any:
    """The seed's program on arguments; the sequence itself stands for the core."""
    with RuntimeSequence(dev) as seq:
        source, target = seq.argument(64, np.int32), seq.argument(64, np.int32)
        token_in, token_out = seq.lock("token_in"), seq.lock("token_out")
        where, end = dev.scratchpad(0x400), None
        outbound = seq.memcpy(token_out, token_out.acquire_eq(1) if equal else 1, 0, wait=False)
        if swap:
            end = outbound(where, target)
        seq.memcpy(token_in, 0, 1)(source, where)
        seq.acquire(token_in.acquire_ge(1))
        seq.release(token_out.release(1))
        seq.dma_wait(end or outbound(where, target))
    return seq


@pytest.mark.parametrize(("swap", "via"), [(False, "registers"), (True, "program")])
def test_the_seeds_program_three_times_in_a_row(
    dev: Any, memory: Any, swap: bool, via: str
) -> None:
    a, out = memory
    seq = add_one(dev, swap=swap)
    for run in range(3):
        a[:] = np.arange(64) + 24 * run
        out[:] = 0
        seq.run(a, out, via=via)
        np.testing.assert_array_equal(out, a)
        assert dev.locks.values == [0] * dev.config.locks
    assert dev.stats.host_copies == 0


@pytest.mark.parametrize("via", VIA)
def test_the_seeds_literal_encoding_leaves_its_lock(dev: Any, memory: Any, via: str) -> None:
    a, out = memory
    seq = add_one(dev, equal=True)
    assert "token_out begins at 0 and ends at 1" in seq.check().warnings[0]
    seq.run(a, out, via=via)
    np.testing.assert_array_equal(out, a)
    assert dev.locks.values[:2] == [0, 1]


def test_a_mover_says_which_lock_it_waits_for(
    dev: Any, memory: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    _, out = memory
    seq = RuntimeSequence(dev, checked=False)
    seq.lock("other")
    gate = seq.lock("gate")
    seq.memcpy(gate, 2, 0)(dev.scratchpad(0), out)
    assert "X (task 1, BD 0) waits for lock gate >= 2, which is 0" in seq.check().errors[0]
    with pytest.raises(DeviceTimeout, match=r"X: 0 of 1 tasks retired; BD 0 .* waits for lock 1,"):
        seq.run(timeout=400)
    dev.locks.release(gate.release(1))
    states = {state.mover.name: state for state in dev.diagnose()}
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == len(dev.config.movers)
    assert (states["X"].lock, states["X"].lock_value) == (1, 1)
    assert "waits for data from X" in next(p for p in printed if p.startswith("S2MM0:"))
    assert "MM2S0: 0 of 0 tasks retired, idle" in printed
    dev.locks.release(gate.release(1))
    dev.wait("S2MM0", 1)
    assert dev.locks.values[1] == 0


def test_locks_from_the_host(dev: Any) -> None:
    lock = RuntimeSequence(dev).lock("lock")
    locks = dev.locks
    locks.set(lock.set(5))
    assert locks.values[0] == 5
    assert locks.try_acquire(lock.acquire_ge(3))
    assert not locks.try_acquire(lock.acquire_ge(3))
    assert locks.try_acquire(lock.acquire_eq(2))
    locks.acquire(lock.acquire_ge(2))
    with pytest.raises(DeviceTimeout, match="acquire lock >= 1 was not granted within 100 cycles"):
        locks.acquire(lock.acquire_ge(1), timeout=100)
    locks.release(lock.release(-1))
    assert locks.values[0] == 0, "and by now the bank has executed it"
    with pytest.raises(LockError, match="lock 0: a release would have taken a lock below 0"):
        dev.program.check()


def test_a_timeout_is_for_a_single_wait(dev: Any, memory: Any) -> None:
    a, out = memory
    with RuntimeSequence(dev) as seq:
        for _ in range(7):
            seq.dma_wait(seq.memcpy("in")(a, dev.scratchpad(0)))
            seq.memcpy("out")(dev.scratchpad(0), out)
    assert seq.run(via="program", timeout=400).cycles > 2 * 400


@pytest.mark.parametrize("via", VIA)
def test_rings_pass_buffers_through_locks(dev: Any, via: str) -> None:
    """Two buffers in the scratchpad, filled and drained by rings that know of locks alone."""
    count = 6
    a, out = dev.allocate((count, 16), np.int32), dev.allocate((count, 16), np.int32)
    a[:] = np.arange(count * 16).reshape(a.shape)
    with RuntimeSequence(dev) as seq:
        full, empty = seq.lock("full"), seq.lock("empty", initial=2)
        places = [{"base": base} for base in (0, 1024)]
        walks = [BufferDescriptor(**vars(WALK_X) | place) for place in places]
        fill = [locked(walk, empty.acquire_ge(1), full.release(1)) for walk in walks]
        drain = [locked(walk, full.acquire_ge(1), empty.release(1)) for walk in walks]
        seq.start_task(seq.configure_task("Y", fill, ring=True))
        seq.start_task(seq.configure_task("X", drain, ring=True))
        ends = []
        for mover, array in (("MM2S0", a), ("S2MM0", out)):
            walk = BufferDescriptor(
                base=array.device_address,
                bounds=(1,),
                strides=(0,),
                run_length=64,
                iteration_size=count,
                iteration_stride=64,
            )
            task = seq.configure_task(mover, [walk], repeat=count)
            ends.append(seq.start_task(task))
        seq.dma_wait(ends[1])
    seq.run(via=via)
    np.testing.assert_array_equal(out, a)
    dev.reset()


@pytest.mark.parametrize("via", VIA)
def test_more_pushes_than_the_queue_holds_wait_for_room(dev: Any, memory: Any, via: str) -> None:
    a, out = memory
    with RuntimeSequence(dev) as seq:
        pieces = [slice(4 * i, 4 * i + 4) for i in range(16)]
        seq.write_bd(
            "Y", 0, BufferDescriptor(base=0, bounds=(1,), strides=(0,), spatial_strides=(4, 8))
        )
        seq.write_bd("MM2S0", 0, dram_walk(a.device_address, 16))
        for piece in pieces:
            seq.push_queue("MM2S0", 0, at=weft.MemRef.from_numpy(a[piece]))
            token = seq.push_queue("Y", 0, at=piece.start * 4)
        seq.dma_wait(token)
        seq.memcpy("out")(dev.scratchpad(0), out)
    seq.run(via=via)
    np.testing.assert_array_equal(out, a)


@pytest.mark.parametrize("via", VIA)
def test_nd_walks_in_elements(dev: Any, via: str) -> None:
    a, out = dev.allocate((6, 8), np.int16), dev.allocate((4, 4, 3), np.int16)
    a[:] = np.arange(48).reshape(6, 8)
    with RuntimeSequence(dev) as seq:
        seq.write_bd(
            "Y", 0, BufferDescriptor(base=0, bounds=(6,), strides=(16,), spatial_strides=(4, 8))
        )
        sink = seq.push_queue("Y", 0)
        source = seq.dma_memcpy_nd("MM2S0", a, (0, 1, 1), (4, 4, 3), (0, 8, 2), issue_token=True)
        assert source.count == 1
        seq.dma_wait(sink)
        seq.memcpy("out")(dev.scratchpad(0), out)
    seq.run(via=via)
    flat = a.reshape(-1)
    expected = [[[flat[8 + 2 + 8 * j + 2 * k] for k in range(3)] for j in range(4)]] * 4
    np.testing.assert_array_equal(out, expected)


def test_a_slot_in_use_is_not_written(dev: Any) -> None:
    seq = RuntimeSequence(dev, checked=False)
    seq.write_bd("Y", 3, WALK_Y)
    seq.push_queue("Y", 3, repeat=256)  # more than can be under way at once
    seq.write_bd("Y", 3, BufferDescriptor(**vars(WALK_Y) | {"base": 64}))
    assert "changes a BD in flight" in seq.check().errors[0]
    with pytest.raises(DescriptorError, match="slot = 3: a task that uses it has not retired"):
        seq.run()
    dev.reset()
    with pytest.raises(DeviceError, match=r"mover Y, BD 3, .*slot was written while a task used"):
        seq.run(via="program")


def test_a_program_says_how_it_ended_and_where_it_is(dev: Any, memory: Any) -> None:
    a, out = memory
    seq = add_one(dev)
    before = dev.buffers
    done = seq.run(a, out, via="program")
    record = seq.load().program.record()
    assert (record["status"], record["code"], record["cycles"]) == (1, 0, done.cycles)
    assert record["position"] == done.position == len(seq.to_words()) - 1
    assert 0 < done.cycles < 1000
    # What the program did is known to the host, which goes on from there.
    dev.send(a, to=dev.scratchpad(0)).wait()
    dev.recv(out, from_=dev.scratchpad(0)).wait()
    seq.unload()
    assert dev.buffers == before
    with pytest.raises(SequenceError, match="has 2 arguments and was given 1"):
        seq.run(a, via="program")
    with pytest.raises(SequenceError, match="argument 1 must be 256 contiguous bytes"):
        seq.run(a, out[::2])
    waits = RuntimeSequence(dev, checked=False)
    waits.acquire(waits.lock("never").acquire_ge(1))
    with pytest.raises(DeviceTimeout, match="the program is at word 0 after 300 cycles; X: "):
        waits.run(via="program", timeout=300)


def test_the_words_of_a_program(dev: Any) -> None:
    seq = RuntimeSequence(dev, checked=False)
    argument = seq.argument(16, np.int32)
    seq.memcpy("token", 0, 1)(argument, dev.scratchpad(0))
    seq.dma_wait("token")
    seq.write_bd("Y", 5, WALK_Y)
    seq.write_bd("Y", 5, BufferDescriptor(**vars(WALK_Y) | {"base": 64, "pad": 3}))
    seq.write_bd("Y", 5, BufferDescriptor(**vars(WALK_Y) | {"base": 64, "pad": 3}))
    layout, operations = instruction(), []
    words, position = [int(word) for word in seq.to_words()], 0
    while position < len(words):
        view = layout.from_bits(words[position])
        payload = {Opcode.BLOCK_WRITE: (view.imm + 1) // 2, Opcode.ARG: 1}.get(view.op, 0)
        operations.append((Opcode(view.op).name, view.target, view.imm))
        position += 1 + payload
    pages = {mover.name: 1 + i for i, mover in enumerate(dev.config.movers)}
    full = {name: Descriptor(CONFIG, CONFIG.mover(name)).words for name in pages}
    assert operations == [
        ("BLOCK_WRITE", pages["Y"], full["Y"]),
        ("PUSH", pages["Y"], 1 << 16),
        ("BLOCK_WRITE", pages["MM2S0"], full["MM2S0"]),
        ("ARG", pages["MM2S0"], 0),
        ("PUSH", pages["MM2S0"], 0),
        ("WAIT", pages["Y"], 1),
        ("BLOCK_WRITE", pages["Y"], full["Y"]),
        ("BLOCK_WRITE", pages["Y"], 3),
        ("END", 0, 0),
    ]
    compiled = seq.load().compiled
    assert [compiled.command_at(p) for p in (0, compiled.positions[3])] == [0, 3]
    assert compiled.command_at(len(words) - 1) is None


@pytest.mark.parametrize("via", VIA)
def test_pushes_to_a_mover_that_waits_for_its_lock_are_not_lost(
    dev: Any, memory: Any, via: str
) -> None:
    a, out = memory
    with RuntimeSequence(dev) as seq:
        gate = seq.lock("gate")
        seq.dma_wait(seq.memcpy("in")(a, dev.scratchpad(0)))
        pieces = [slice(8 * i, 8 * i + 8) for i in range(6)]
        for piece in pieces:
            outbound = seq.memcpy(gate, 1, 0, wait=False)
            outbound(dev.scratchpad(piece.start * 4), out[piece])
        for _ in pieces:
            seq.release(gate.release(1))
        seq.dma_wait("gate")
    seq.run(via=via)
    np.testing.assert_array_equal(out[:48], a[:48])
    assert not out[48:].any()
    assert dev.registers.read("X", "REFUSED") == 0


def test_three_ways_to_bring_a_view_over(dev: Any) -> None:
    a, out = dev.allocate((5, 24), np.uint8), dev.allocate((5, 24), np.uint8)
    a[:] = np.arange(120).reshape(5, 24)
    for mode in ("sg", "row", "naive"):
        where = dev.scratchpad(0x200)
        dev.send(a[:, 4:16], to=where, mode=mode).wait()
        dev.recv(out[:, 8:20], from_=where, mode=mode).wait()
        np.testing.assert_array_equal(out[:, 8:20], a[:, 4:16])
        assert out.sum() == a[:, 4:16].sum()
        out[:] = 0
