"""The checker names what would go wrong, and only that."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from support.sequences import WALK_X, WALK_Y, dram_walk, opened
from weft.sw import BufferDescriptor, Guard
from weft.sw.bounds import dram_extent
from weft.sw.errors import SequenceError
from weft.sw.locks import locked
from weft.sw.sequence import RuntimeSequence


def sequence(**options: Any) -> tuple[RuntimeSequence, Any, Any]:
    dev = opened()
    a, out = dev.allocate(64, np.uint8), dev.allocate(64, np.uint8)
    return RuntimeSequence(dev, checked=False), a, out


def add_one(
    seq: RuntimeSequence, a: Any, out: Any, *, swap: bool = False, core: bool = True
) -> None:
    """The seed's program; the sequence itself stands for the core."""
    token_in, token_out = seq.lock("token_in"), seq.lock("token_out")
    where = seq.device.scratchpad(0x400)
    end = None
    if swap:
        end = seq.memcpy("token_out", 1, 0, wait=False)(where, out)
    seq.memcpy("token_in", 0, 1)(a, where)
    if core:
        seq.acquire(token_in.acquire_ge(1))
        seq.release(token_out.release(1))
    if end is not None:
        seq.dma_wait(end)
    else:
        seq.memcpy("token_out", 1, 0)(where, out)


@pytest.mark.parametrize("swap", [False, True])
def test_a_program_that_ends_and_leaves_its_locks_as_they_were(swap: bool) -> None:
    seq, a, out = sequence()
    add_one(seq, a, out, swap=swap)
    report = seq.check()
    assert (report.errors, report.warnings) == ((), ())
    report.require()


@pytest.mark.parametrize("swap", [False, True])
def test_a_lock_that_nobody_releases(swap: bool) -> None:
    seq, a, out = sequence()
    add_one(seq, a, out, swap=swap, core=False)
    assert seq.check().errors == (
        "deadlock: the sequence waits at command 8, wait for task 1 of S2MM0; S2MM0 (task 1, BD 0) "
        "waits for data from X; X (task 1, BD 0) waits for lock token_out >= 1, which is 0; nobody "
        "who is left releases token_out",
    )
    with pytest.raises(SequenceError, match="deadlock: the sequence waits"):
        seq.check().require()
    with pytest.raises(SequenceError, match="nobody who is left releases token_out"):
        with RuntimeSequence(seq.device) as refused:
            add_one(refused, a, out, core=False)


def test_the_literal_encoding_of_the_seed_works_once() -> None:
    seq, a, out = sequence()
    token_in, token_out = seq.lock("token_in"), seq.lock("token_out")
    where = seq.device.scratchpad(0)
    seq.memcpy(token_in, 0, 1)(a, where)
    seq.acquire(token_in.acquire_ge(1))
    seq.release(token_out.release(1))
    seq.memcpy(token_out, token_out.acquire_eq(1), 0)(where, out)
    report = seq.check()
    assert report.errors == ()
    assert report.warnings == (
        "lock token_out begins at 0 and ends at 1: the sequence cannot be run again without a "
        "reset",
    )


def test_two_that_wait_for_one_another() -> None:
    seq, a, out = sequence()
    left, right = seq.lock("left"), seq.lock("right")
    seq.write_bd("X", 0, locked(WALK_X, left.acquire_ge(1), right.release(1)))
    seq.write_bd("Y", 0, locked(WALK_Y, right.acquire_ge(1), left.release(1)))
    seq.write_bd("S2MM0", 0, dram_walk(out.device_address))
    seq.write_bd("MM2S0", 0, dram_walk(a.device_address))
    for mover in ("X", "Y", "S2MM0", "MM2S0"):
        seq.push_queue(mover, 0)
    (error,) = seq.check().errors[:1]
    assert error == (
        "deadlock: the sequence ends, but X (task 1, BD 0) waits for lock left >= 1, which is 0; "
        "Y releases left later; Y (task 1, BD 0) waits for lock right >= 1, which is 0; X releases "
        "right later"
    )
    seq.commands.insert(0, left.set(1))
    report = seq.check()
    assert (report.errors, report.warnings) == ((), ())


def test_a_release_that_comes_too_late() -> None:
    seq, _, out = sequence()
    gate = seq.lock("gate")
    seq.memcpy(gate, 1, 0)(seq.device.scratchpad(0), out)
    seq.release(gate.release(1))
    (error,) = seq.check().errors
    assert error.endswith(
        "X (task 1, BD 0) waits for lock gate >= 1, which is 0; the sequence would release gate by "
        "1 later"
    )


def test_a_queue_without_room() -> None:
    seq, a, _ = sequence()
    depth = seq.config.mover("MM2S0").queue_depth
    seq.write_bd("MM2S0", 0, dram_walk(a.device_address))
    for _ in range(depth + 1):
        seq.push_queue("MM2S0", 0)
    assert seq.check().errors == (
        "deadlock: the sequence ends, but MM2S0 (task 1, BD 0) waits for room in Y; Y has no task",
    )
    seq.push_queue("MM2S0", 0)
    (error,) = seq.check().errors
    assert error == (
        f"deadlock: the sequence waits at command {depth + 2}, push BD 0 of MM2S0 as its task "
        f"{depth + 2}, for room in the queue, which holds {depth} of {depth} tasks; MM2S0 (task 1, "
        "BD 0) waits for room in Y; Y has no task"
    )


def test_streams_of_unequal_lengths() -> None:
    seq, a, _ = sequence()
    seq.write_bd("Y", 0, WALK_Y)
    seq.write_bd("MM2S0", 0, dram_walk(a.device_address, 40))
    token = seq.push_queue("Y", 0)
    seq.push_queue("MM2S0", 0)
    seq.dma_wait(token)
    (error,) = seq.check().errors
    assert error.endswith("Y (task 1, BD 0) waits for data from MM2S0; MM2S0 has no task")


def test_a_descriptor_that_changes_in_flight() -> None:
    seq, a, out = sequence()
    seq.write_bd("Y", 0, WALK_Y)
    seq.write_bd("MM2S0", 0, dram_walk(a.device_address))
    seq.push_queue("MM2S0", 0)
    token = seq.push_queue("Y", 0)
    seq.write_bd("MM2S0", 0, dram_walk(out.device_address))
    (error,) = seq.check().errors
    assert error == (
        "command 4, write BD 0 of MM2S0, changes a BD in flight: task 1 of MM2S0, pushed by "
        "command 2, uses it and may not have retired; wait for it first"
    )
    # Its sink has retired, so it has as well; but not the other way round.
    seq.commands.pop()
    seq.dma_wait(token)
    seq.write_bd("MM2S0", 0, dram_walk(out.device_address))
    assert seq.check().errors == ()
    seq.push_queue("Y", 0)
    source = seq.push_queue("MM2S0", 0)
    seq.dma_wait(source)
    seq.write_bd("Y", 0, WALK_Y)
    (error,) = seq.check().errors
    assert error.startswith("command 9, write BD 0 of Y, changes a BD in flight: task 2 of Y")


def test_chains_rings_and_repeats() -> None:
    seq, a, out = sequence()
    full, empty = seq.lock("full"), seq.lock("empty", 2)
    fill = locked(WALK_Y, empty.acquire_ge(1), full.release(1))
    drain = locked(WALK_X, full.acquire_ge(1), empty.release(1))
    seq.start_task(seq.configure_task("Y", [fill, fill], ring=True))
    seq.start_task(seq.configure_task("X", [drain, drain], ring=True))
    loads = seq.configure_task("MM2S0", [dram_walk(a.device_address)] * 2, repeat=3)
    stores = seq.configure_task("S2MM0", [dram_walk(out.device_address)], repeat=6)
    seq.start_task(loads)
    end = seq.start_task(stores)
    with pytest.raises(SequenceError, match=r"BD 0 of MM2S0 is in flight: configure_task \(task 1"):
        seq.free_task(loads)
    seq.dma_wait(end)
    report = seq.check()
    assert (report.errors, report.warnings) == ((), ())
    seq.free_task(stores)
    # A ring that runs for itself never ends, and waits for nothing.
    other, a, _ = sequence()
    other.start_task(other.configure_task("Y", [WALK_Y], ring=True))
    other.start_task(other.configure_task("MM2S0", [dram_walk(a.device_address)], ring=True))
    assert other.check().errors == ()
    other.acquire(other.lock("never").acquire_ge(1))
    (error,) = other.check().errors
    assert error.endswith(
        "acquire never >= 1, but the lock is 0; nobody who is left releases never"
    )


def test_locks_stay_between_0_and_63() -> None:
    seq, _, _ = sequence()
    lock = seq.lock("lock", 60)
    seq.release(lock.release(4))
    other = seq.lock("other")
    seq.release(other.release(-1))
    assert seq.check().errors == (
        "command 1 takes lock lock to 64, outside 0 to 63",
        "command 2 takes lock other to -1, outside 0 to 63",
    )


@pytest.mark.parametrize(
    ("offset", "length", "text"),
    [
        (0, 64, ""),
        (4096, 3, "where no buffer is allocated"),
        (32, 48, "leaves the buffer of 64 bytes"),
        (64, 1, ""),
    ],
)
def test_dram_beyond_a_buffer(offset: int, length: int, text: str) -> None:
    seq, a, _ = sequence()
    seq.write_bd("Y", 0, WALK_Y)
    seq.write_bd("MM2S0", 0, dram_walk(a.device_address + offset, length))
    seq.push_queue("Y", 0)
    seq.push_queue("MM2S0", 0)
    errors = [e for e in seq.check().errors if not e.startswith("deadlock")]
    if text:
        (error,) = errors
        assert error.startswith("BD 0 of MM2S0, pushed by command 3: reads 0x")
        assert text in error
    else:
        assert errors == []


def test_an_argument_is_a_buffer_of_its_size() -> None:
    seq, _, _ = sequence()
    argument = seq.argument((4, 16), np.uint8)
    seq.write_bd("Y", 0, WALK_Y)
    seq.write_bd("MM2S0", 0, dram_walk(1), argument=argument.argument)
    seq.push_queue("Y", 0)
    seq.push_queue("MM2S0", 0)
    (error,) = seq.check().errors
    assert error == (
        "BD 0 of MM2S0, pushed by command 3: reads 0x1 to 0x41, which leaves the buffer of 64 "
        "bytes at 0x0 (to 0x40) of argument 0"
    )


def test_an_iteration_that_walks_out_of_its_buffer() -> None:
    seq, a, out = sequence()
    seq.device.free(out)
    walk = replace(dram_walk(a.device_address, 32), iteration_size=3, iteration_stride=32)
    seq.write_bd("Y", 0, replace(WALK_Y, bounds=(2,)))
    seq.write_bd("MM2S0", 0, walk)
    for flaws in (0, 0, 1, 1):
        seq.push_queue("Y", 0)
        seq.push_queue("MM2S0", 0)
        errors = seq.check().errors
        assert len(errors) == flaws
    assert "reads 0x80000040 to 0x80000060, where no buffer is allocated" in errors[0]


def test_a_product_of_the_array() -> None:
    seq, _, _ = sequence()
    beat = dict(spatial_strides=(4,))
    a = BufferDescriptor(base=0, bounds=(3, 2), strides=(16, 0), operator=1, **beat)
    wide = dict(bounds=(2,), strides=(64,), spatial_strides=(4, 16))
    seq.write_bd("A", 0, a)
    seq.write_bd("B", 0, BufferDescriptor(base=0, bounds=(6,), strides=(16,), **beat))
    seq.write_bd("C", 0, BufferDescriptor(base=0, **wide))
    seq.write_bd("D", 0, BufferDescriptor(base=1024, **wide))
    for mover in ("A", "B", "D"):
        seq.push_queue(mover, 0)
    assert "A (task 1, BD 0) waits for room in C; C has no task" in seq.check().errors[0]
    token = seq.push_queue("C", 0)
    assert seq.check().errors == ()
    seq.dma_wait(token)
    assert seq.check().errors == ()


@pytest.mark.parametrize(
    ("walk", "extent"),
    [
        (BufferDescriptor(base=100, bounds=(3,), strides=(10,), run_length=4), (100, 124)),
        (BufferDescriptor(base=100, bounds=(3,), strides=(-10,), run_length=4), (80, 104)),
        (BufferDescriptor(base=100, bounds=(0,), strides=(10,), run_length=4), (100, 100)),
        (
            BufferDescriptor(
                base=100,
                bounds=(5,),
                strides=(10,),
                run_length=8,
                guards=(Guard(limit=3, strides=(1,)), Guard(offset=-2, limit=4, run=1)),
            ),
            (102, 126),
        ),
        (
            BufferDescriptor(
                base=9, bounds=(5,), strides=(10,), run_length=8, guards=(Guard(offset=-50),)
            ),
            (9, 9),
        ),
    ],
)
def test_what_a_dram_walk_touches(walk: BufferDescriptor, extent: tuple[int, int]) -> None:
    assert dram_extent(walk) == extent
