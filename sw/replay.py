"""A sequence played on a model of the movers: queues, tokens, locks, chains and streams.

There is no time in it, only what has to come before what, and nothing counts on buffers: a source's
bytes leave when its sink takes them. So a sequence that ends here ends on hardware as well. Where
hardware is free to choose, one mover is chosen to be slow: it moves only when nothing else can,
which shows what would still be in use while the sequence goes on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from ..hw.config import AcceleratorConfig
from .commands import Command, Push, Wait, WriteDescriptor
from .descriptor import BufferDescriptor
from .locks import MAX_LOCK, Acquire, Release, SetLock
from .replay_mover import ReplayedMover
from .replay_streams import ReplayedStreams
from .task_queue import Task, TaskQueue

__all__ = ["Access", "Replay"]

PATIENCE = 10_000
"""Executions of endless chains in a row, while nothing that ends goes on."""


@dataclass(frozen=True, kw_only=True)
class Access:
    """An execution as far as addresses go; the base counts from `argument`, if that is set."""

    mover: str
    slot: int
    descriptor: BufferDescriptor
    argument: int | None


class Replay:
    """One run.

    Parameters
    ----------
    config
        The system.
    commands
        Of the sequence.
    names
        Of locks, for messages.
    slow
        Name of the mover that moves only when nothing else can.

    Attributes
    ----------
    position : int
        Commands done.
    movers : dict of str to :class:`ReplayedMover`
    streams : :class:`ReplayedStreams`
    locks, initial : dict of int to int
        Values now, and those that the sequence begins with.
    errors : list of str
        What went wrong on the way.
    accesses : dict of :class:`Access` to int
        What was executed, and the command that pushed it.
    """

    def __init__(
        self,
        config: AcceleratorConfig,
        commands: Sequence[Command],
        *,
        names: Mapping[int, str],
        slow: str | None = None,
    ) -> None:
        self.config = config
        self.commands = commands
        self.slow = slow
        word = config.memory.word_bytes
        self.movers = {
            m.name: ReplayedMover(
                config=m,
                beat=m.channels * word if m.is_scratchpad else 1,
                queue=TaskQueue(m.queue_depth),
            )
            for m in config.movers
        }
        self.position = 0
        self.locks: dict[int, int] = {}
        self.initial: dict[int, int] = {}
        self.names = names
        self.errors: list[str] = []
        self.accesses: dict[Access, int] = {}
        self.streams = ReplayedStreams(self.movers, config.array, slow)
        self._order = sorted(self.movers, key=lambda name: name == slow)

    def run(self) -> None:
        """Play until nothing moves, or only endless chains do."""
        endless = 0
        while endless < PATIENCE:
            if self._advance():
                endless = 0
                continue
            if self.done and not any(True for _ in self.unfinished()):
                return
            moved = next((m for m in self._movers() if self._move(m)), None)
            if moved is None:
                return
            task = moved.queue.running
            endless = endless + 1 if task is not None and moved.is_endless(task) else 0

    def _movers(self) -> Iterator[ReplayedMover]:
        """In order of preference."""
        return (self.movers[name] for name in self._order)

    @property
    def done(self) -> bool:
        """Whether every command was."""
        return self.position == len(self.commands)

    def unfinished(self) -> Iterator[tuple[ReplayedMover, Task]]:
        """Tasks that should end and have not."""
        for mover in self.movers.values():
            for task in mover.queue:
                if not mover.is_endless(task):
                    yield mover, task

    def value(self, lock: int) -> int:
        """Of a lock, now."""
        return self.locks.setdefault(lock, self.initial.setdefault(lock, 0))

    def settled(self, lock: int) -> int:
        """Of a lock, with what endless chains hold that wait for more to do."""
        gates = [m.gate for m in self.movers.values() if m.left is not None]
        held = sum(gate.taken for gate in gates if gate is not None and gate.lock.index == lock)
        return self.value(lock) + held

    def name(self, lock: int) -> str:
        """Of a lock."""
        return self.names.get(lock, str(lock))

    # The sequence.

    def _advance(self) -> bool:
        """Do the next command; False if it waits, or there is none."""
        if self.done:
            return False
        command = self.commands[self.position]
        match command:
            case WriteDescriptor():
                self._write(command)
            case Push():
                mover = self.movers[command.mover]
                if not mover.queue.room:
                    return False
                self._push(mover, command)
            case Wait():
                if self.movers[command.token.mover].retired < command.token.count:
                    return False
            case Acquire():
                if not self._acquire(command):
                    return False
            case Release():
                self._release(command, f"command {self.position}")
            case SetLock():
                self.initial.setdefault(command.lock.index, command.value)
                self.locks[command.lock.index] = command.value
        self.position += 1
        return True

    def _write(self, command: WriteDescriptor) -> None:
        mover = self.movers[command.mover]
        for task in mover.queue:
            if command.slot in mover.chain(task.slot)[0]:
                self.errors.append(
                    f"command {self.position}, {command}, changes a BD in flight: task "
                    f"{task.number} of {mover.name}, pushed by command {task.origin}, uses it and "
                    "may not have retired; wait for it first"
                )
                return
        mover.slots[command.slot] = command.descriptor, command.argument
        mover.iterations[command.slot] = command.descriptor.iteration_current

    def _push(self, mover: ReplayedMover, command: Push) -> None:
        chain, _ = mover.chain(command.slot)
        if chain[-1] not in mover.slots:
            self.errors.append(
                f"command {self.position}, {command}: BD {chain[-1]} of {mover.name} was not "
                "written"
            )
            mover.slots[chain[-1]] = BufferDescriptor(base=0, bounds=(0,), strides=(0,)), None
        task = Task(
            number=command.token.count,
            slot=command.slot,
            repeat=command.repeat,
            base=command.base,
            argument=command.argument,
            origin=self.position,
        )
        mover.queue.push(task)
        if mover.queue.running is task:
            mover.start(task)

    # The movers.

    def _move(self, mover: ReplayedMover) -> bool:
        """One step of a mover; False if it cannot make any."""
        task = mover.queue.running
        if task is None:
            return False
        if mover.left is None:
            gate = mover.gate
            if gate is not None and not self._acquire(gate):
                return False
            self._begin(mover, task)
            return True
        if mover.left == 0:
            self._finish(mover)
            return True
        moved = self.streams.move(mover)
        for source in moved:
            # A source retires with its last byte, for nobody sees the byte before.
            if source.left == 0 and source.config.is_source:
                self._finish(source)
        return bool(moved)

    def _begin(self, mover: ReplayedMover, task: Task) -> None:
        """Load a BD; its iteration goes on."""
        walk, argument = mover.slots[mover.slot]
        if mover.first and task.base is not None:
            walk, argument = replace(walk, base=task.base), task.argument
        mover.left = mover.amount()
        offset = mover.iterate()
        if mover.left == 0:
            return
        walk = replace(
            walk,
            base=walk.base + offset,
            iteration_size=0,
            iteration_current=0,
            iteration_stride=0,
        )
        access = Access(mover=mover.name, slot=mover.slot, descriptor=walk, argument=argument)
        self.accesses.setdefault(access, task.origin)

    def _finish(self, mover: ReplayedMover) -> None:
        """Release, and go on."""
        if mover.opening is not None:
            self._release(mover.opening, f"BD {mover.slot} of {mover.name}")
        mover.step()

    # The locks.

    def _acquire(self, use: Acquire) -> bool:
        value = self.value(use.lock.index)
        if not use.met(value):
            return False
        self.locks[use.lock.index] = value - use.taken
        return True

    def _release(self, use: Release, who: str) -> None:
        value = self.value(use.lock.index) + use.delta
        if 0 <= value <= MAX_LOCK:
            self.locks[use.lock.index] = value
            return
        self.errors.append(
            f"{who} takes lock {self.name(use.lock.index)} to {value}, outside 0 to {MAX_LOCK}"
        )
