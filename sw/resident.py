"""Which descriptors stay in a mover's slots while tasks are written down one after the other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ..hw.config import AcceleratorConfig
from ..hw.mover.descriptor import Descriptor
from .commands import Command, Push, Token, Wait, WriteDescriptor
from .descriptor import BufferDescriptor
from .errors import SequenceError
from .locks import Lock, SetLock

__all__ = ["Task", "TaskList"]


@dataclass(frozen=True, kw_only=True)
class Task:
    """What a mover is to execute; `label` is for the reader."""

    mover: str
    descriptor: BufferDescriptor
    label: str = ""
    interrupt: bool = False


class TaskList:
    """Turns tasks into commands, a slot for every descriptor that comes again.

    Descriptors that differ in their base alone share a slot: a task is pushed with a base of its
    own. Where a mover's slots are all taken, the one whose last task is the oldest is written
    again, after a wait for that task.

    Parameters
    ----------
    config
        The system.

    Attributes
    ----------
    commands : list of :data:`~weft.sw.commands.Command`
    """

    def __init__(self, config: AcceleratorConfig) -> None:
        self._config = config
        self._specs = {m.name: Descriptor(config, m) for m in config.movers}
        self._slots: dict[str, dict[BufferDescriptor, _Slot]] = {m.name: {} for m in config.movers}
        self._checked: set[tuple[str, BufferDescriptor]] = set()
        self._pushed: Counter[str] = Counter()
        self._awaited: Counter[str] = Counter()
        self._locks: dict[str, Lock] = {}
        self.commands: list[Command] = []

    def lock(self, name: str, value: int) -> Lock:
        """The lock of that name: the device's next one, set to `value`, where it is named first.

        Raises
        ------
        SequenceError
            The device has no more.
        """
        if name not in self._locks:
            if len(self._locks) == self._config.locks:
                raise SequenceError(f"lock {name}: the device's {self._config.locks} are in use")
            self._locks[name] = Lock(len(self._locks), name)
            self.commands.append(SetLock(self._locks[name], value))
        return self._locks[name]

    def push(self, tasks: Sequence[Task]) -> list[Token]:
        """Append tasks that belong together, one a mover, each pushed as soon as it is written.

        Raises
        ------
        DescriptorError
            One of them is impossible: nothing was appended.
        """
        for task in tasks:
            if (task.mover, task.descriptor) not in self._checked:
                task.descriptor.encode(self._specs[task.mover])
                self._checked.add((task.mover, task.descriptor))
        return [self._append(task) for task in tasks]

    def _append(self, task: Task) -> Token:
        slot = self._slot(task.mover, task.descriptor)
        self._pushed[task.mover] += 1
        token = Token(task.mover, self._pushed[task.mover])
        slot.task = token.count
        base = None if slot.base == task.descriptor.base else task.descriptor.base
        push = Push(token, slot.index, issue_token=task.interrupt, base=base, label=task.label)
        self.commands.append(push)
        return token

    def wait(self, token: Token) -> None:
        """Append a wait, unless one before implies it."""
        if token.count > self._awaited[token.mover]:
            self._awaited[token.mover] = token.count
            self.commands.append(Wait(token))

    @property
    def lock_resets(self) -> list[Command]:
        """Leave the locks as a reset does."""
        return [lock.set(0) for lock in self._locks.values()]

    def _slot(self, mover: str, descriptor: BufferDescriptor) -> _Slot:
        slots, kind = self._slots[mover], replace(descriptor, base=0)
        if kind in slots:
            return slots[kind]
        if len(slots) < self._config.mover(mover).descriptors:
            index = len(slots)
        else:
            oldest = min(slots, key=lambda kind: slots[kind].task)
            victim = slots.pop(oldest)
            self.wait(Token(mover, victim.task))
            index = victim.index
        slots[kind] = _Slot(index, descriptor.base)
        self.commands.append(WriteDescriptor(mover, index, descriptor))
        return slots[kind]


class _Slot:
    """A slot, the base that was written to it, and the last task that uses it."""

    def __init__(self, index: int, base: int) -> None:
        self.index = index
        self.base = base
        self.task = 0
