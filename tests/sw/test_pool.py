"""Slots, queues and locks: who has what, and what is said when there is no more."""

import pytest

from weft.sw.descriptor import BufferDescriptor
from weft.sw.errors import QueueFullError, SequenceError
from weft.sw.locks import Lock, locked
from weft.sw.pool import BdPool
from weft.sw.task_queue import Task, TaskQueue


def test_slots_are_handed_out_until_they_are_exhausted() -> None:
    pool = BdPool("Y", 3)
    assert [pool.allocate("first"), pool.allocate("second"), pool.allocate("third")] == [0, 1, 2]
    pool.use(1, 4)
    with pytest.raises(
        SequenceError,
        match=r"slots of Y are exhausted: 3 of 3 are held, by first, second \(task 4\), third",
    ):
        pool.allocate("fourth")
    pool.free(0)
    assert pool.allocate("fourth") == 0
    with pytest.raises(SequenceError, match="BD 0 of W is free already"):
        BdPool("W", 4).free(0)


def test_a_slot_comes_back_when_its_last_task_has_retired() -> None:
    pool = BdPool("Y", 2)
    slot = pool.allocate("copy")
    pool.use(slot, 1)
    pool.use(slot, 3)
    pool.retire(2)
    assert pool.held == (slot,)
    with pytest.raises(SequenceError, match=r"BD 0 of Y is in flight: copy \(task 3\) has not"):
        pool.free(slot)
    pool.retire(3)
    assert pool.held == ()
    kept = pool.allocate("chain", keep=True)
    pool.use(kept, 4)
    pool.retire(9)
    assert pool.held == (kept,)
    pool.free(kept)


def test_a_claimed_slot_is_the_claimers_and_nobody_elses() -> None:
    pool = BdPool("X", 4)
    pool.claim(2, "write_bd")
    pool.claim(2, "write_bd")
    assert [pool.allocate("copy") for _ in range(3)] == [0, 1, 3]
    with pytest.raises(SequenceError, match="BD 1 of X is already in use by copy; wait"):
        pool.claim(1, "write_bd")
    with pytest.raises(SequenceError, match="BD ID 4 exceeds the maximum ID 3 of X"):
        pool.claim(4, "write_bd")


def test_the_running_task_has_left_its_place_in_the_queue() -> None:
    queue = TaskQueue(2)
    tasks = [Task(number=n, slot=0) for n in range(1, 5)]
    queue.push(tasks[0])
    assert (queue.running, queue.level, queue.room) == (tasks[0], 0, True)
    queue.push(tasks[1])
    queue.push(tasks[2])
    assert not queue.room
    with pytest.raises(QueueFullError, match="holds 2 of 2 tasks"):
        queue.push(tasks[3])
    assert list(queue) == tasks[:3]
    queue.retire()
    assert (queue.running, queue.level) == (tasks[1], 1)
    queue.retire()
    queue.retire()
    assert (queue.running, list(queue)) == (None, [])


def test_what_descriptors_do_to_locks_is_in_their_fields() -> None:
    lock, walk = Lock(5, "ready"), BufferDescriptor(base=0)
    found = locked(walk, lock.acquire_eq(3), lock.release(-2))
    assert (found.acquire_enable, found.acquire_mode, found.acquire_id) == (1, 1, 5)
    assert (found.acquire_value, found.release_id, found.release_delta) == (3, 5, -2)
    assert locked(walk) == walk
    assert lock.acquire_ge(2).met(2)
    assert not lock.acquire_eq(2).met(3)
    assert (lock.acquire_ge(2).taken, lock.acquire_eq(2).taken) == (2, 0)
    for wrong in (lambda: lock.acquire_ge(64), lambda: lock.acquire_eq(-1), lambda: lock.set(64)):
        with pytest.raises(SequenceError, match=r"lock ready: value = -?[0-9]+: must be from 0 to"):
            wrong()
    with pytest.raises(SequenceError, match="delta = 64: must be from -64 to 63"):
        lock.release(64)
