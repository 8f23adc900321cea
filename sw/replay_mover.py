"""One mover of a replay: where it is in its task, chain and execution."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from ..hw.config import MoverConfig
from ..hw.extensions.repeater import repeater_parameter
from ..hw.registry import EXTENSIONS
from .descriptor import BufferDescriptor
from .locks import Acquire, Lock, Release
from .task_queue import Task, TaskQueue

__all__ = ["ReplayedMover"]


@dataclass(kw_only=True)
class ReplayedMover:
    """One mover.

    Parameters
    ----------
    config, beat
        Its configuration; bytes a beat where it is in the scratchpad, else 1.
    slots
        Descriptor, and the argument that its base counts from, of every slot written.
    iterations
        State of every slot's iteration.
    retired, executions
        Tasks done, and executions of the chain within the running one.
    first
        Whether the execution is the chain's first.
    slot
        That of the execution under way.
    left
        Bytes of it that have not moved; None while it waits to begin.
    """

    config: MoverConfig
    beat: int
    queue: TaskQueue
    slots: dict[int, tuple[BufferDescriptor, int | None]] = field(default_factory=dict)
    iterations: dict[int, int] = field(default_factory=dict)
    retired: int = 0
    slot: int = 0
    first: bool = True
    executions: int = 0
    left: int | None = None

    @property
    def name(self) -> str:
        return self.config.name

    @property
    def descriptor(self) -> BufferDescriptor:
        """Of the execution under way, or next."""
        return self.slots[self.slot][0]

    @property
    def compares(self) -> bool:
        """Whether that is compared with an execution of another source."""
        return "compare" in self.descriptor.extensions

    @property
    def is_source(self) -> bool:
        """Whether that gives a stream to others."""
        return self.config.is_source and not self.compares

    @property
    def gate(self) -> Acquire | None:
        """What the execution acquires."""
        walk = self.descriptor
        if not walk.acquire_enable:
            return None
        return Acquire(
            Lock(walk.acquire_id, f"lock {walk.acquire_id}"),
            walk.acquire_value,
            equal=bool(walk.acquire_mode),
        )

    def chain(self, slot: int) -> tuple[list[int], bool]:
        """The slots of a chain, and whether it has no end."""
        slots: list[int] = []
        while slot in self.slots:
            if slot in slots:
                return slots, True
            slots.append(slot)
            if not self.slots[slot][0].use_next:
                break
            slot = self.slots[slot][0].next
        else:
            slots.append(slot)
        return slots, False

    def is_endless(self, task: Task) -> bool:
        """Whether `task` never retires."""
        return self.chain(task.slot)[1]

    def moves(self) -> bool:
        """Whether it has begun an execution and has bytes of it to move."""
        return bool(self.left)

    @property
    def beats(self) -> int:
        """Whole beats of it that have not moved."""
        return (self.left or 0) // self.beat

    def take(self, count: int) -> None:
        """Move `count` bytes."""
        assert self.left is not None
        self.left -= count

    def amount(self) -> int:
        """Bytes of the execution's stream."""
        rows, _ = self.rows()
        return rows * (self.beat if self.config.is_scratchpad else self.descriptor.run_length)

    def rows(self) -> tuple[int, int]:
        """Rows of the execution as its stream has them, and how many of them have a mark."""
        walk = self.descriptor
        marked = math.prod(walk.bounds[walk.mark_level + 1 :])
        rows = math.prod(walk.bounds)
        for name in self.config.extensions:
            if name not in walk.extensions:
                continue
            if name == "repeater":
                word = repeater_parameter(self.config.replay_depth)
                how = word.from_bits(walk.parameters.get(name, 0))
                rows *= max(how.count, 1)
                marked *= max(how.count, 1) if how.each else 1
            elif EXTENSIONS[name].reduces:
                rows = marked
        return rows, marked

    @property
    def opening(self) -> Release | None:
        """What the execution releases."""
        walk = self.descriptor
        if not walk.release_delta:
            return None
        return Release(Lock(walk.release_id, f"lock {walk.release_id}"), walk.release_delta)

    def iterate(self) -> int:
        """Offset of this execution's base; the BD's iteration goes on."""
        walk = self.descriptor
        if walk.iteration_size < 2:
            return 0
        current = self.iterations[self.slot]
        self.iterations[self.slot] = (current + 1) % walk.iteration_size
        return current * walk.iteration_stride

    def start(self, task: Task) -> None:
        """Turn to a task that has become the running one."""
        self.slot, self.first, self.executions, self.left = task.slot, True, 0, None

    def step(self) -> None:
        """Turn from an execution to the next BD, execution or task."""
        task = self.queue.running
        assert task is not None
        walk = self.descriptor
        self.left, self.first = None, False
        if walk.use_next:
            self.slot = walk.next
            return
        self.slot, self.first = task.slot, True
        self.executions += 1
        if self.executions == task.repeat:
            self.retired += 1
            self.queue.retire()
            if self.queue.running is not None:
                self.start(self.queue.running)
