"""A mover of the functional system: its queue, chains, repeats and iterations."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from ...hw.bus.fault import FaultCode
from ...hw.config import MoverConfig
from ...hw.mover.descriptor import Descriptor
from ...hw.mover.iteration import ITERATION_WORDS
from .locks import ModelLocks
from .tasks import Beat, Fault, Walk, decode

__all__ = ["Execution", "ModelMover", "Task"]

WORD = 1 << 32


@dataclass(kw_only=True)
class Task:
    """What was pushed."""

    slot: int
    repeat: int
    interrupt: bool
    base: int | None


@dataclass(kw_only=True)
class Execution:
    """A BD that has begun and has not retired; ``last`` ends its task."""

    task: Task
    slot: int
    walk: Walk | None
    last: bool
    left: int = 0
    """Beats (or bytes, towards s2mm) that nobody has taken yet."""
    bad: bool = False


@dataclass(kw_only=True)
class ModelMover:
    """What a mover keeps, and what it does about its tasks; their data are the system's.

    Attributes
    ----------
    slots
        For each slot that was written, its words by number.
    currents
        State of the iterations that have begun, by slot.
    tasks
        Pushed and not retired, of which ``begun`` have begun.
    running, slot, base, repeat, chain
        The task whose BDs are begun now, the BD that comes next, and the slots it has loaded.
    flight
        Executions that have begun and have not retired.
    beats
        Of a source: what nobody has taken yet.
    registers
        Of its page, by name.
    """

    config: MoverConfig
    spec: Descriptor
    index: int
    registers: dict[str, int]
    slots: dict[int, dict[int, int]] = field(default_factory=dict)
    currents: dict[int, int] = field(default_factory=dict)
    tasks: deque[Task] = field(default_factory=deque)
    begun: int = 0
    running: Task | None = None
    slot: int = 0
    base: int | None = None
    repeat: int = 0
    chain: set[int] = field(default_factory=set)
    flight: deque[Execution] = field(default_factory=deque)
    beats: deque[Beat] = field(default_factory=deque)

    def uses(self, slot: int) -> bool:
        """Whether a queued task names `slot`, or the running one has loaded it."""
        queued = list(self.tasks)[self.begun :]
        return any(task.slot == slot for task in queued) or (
            self.running is not None and slot in self.chain
        )

    def write(self, slot: int, word: int, value: int) -> None:
        """Word `word` of the BD in `slot`; its iteration begins anew with a word of that."""
        self.slots.setdefault(slot, {})[word] = value
        if word in ITERATION_WORDS:
            self.currents.pop(slot, None)

    def forget(self) -> None:
        """Every task, and how far iterations are."""
        for queue in (self.tasks, self.flight, self.beats):
            queue.clear()
        self.begun, self.running = 0, None
        self.currents.clear()
        self.chain.clear()
        self.registers["PROGRESS"] = 0

    def load(self) -> Walk | Fault | None:
        """The BD that comes next; None without a task."""
        if self.running is None:
            if self.begun == len(self.tasks):
                return None
            task = self.running = self.tasks[self.begun]
            self.begun += 1
            self.slot, self.base, self.repeat, self.chain = (
                task.slot,
                task.base,
                task.repeat,
                {task.slot},
            )
        if self.slot >= self.config.descriptors:
            return Fault(FaultCode.NO_DESCRIPTOR)
        words = self.slots.get(self.slot, {})
        return decode(
            self.spec,
            [words.get(i, 0) for i in range(self.spec.words)],
            self.base,
            self.currents.get(self.slot),
        )

    def begin(self, found: Walk | Fault, locks: ModelLocks) -> Execution | None:
        """Begin what was loaded and go on in the chain; None if its lock cannot be acquired.

        A fault ends the task.
        """
        task, slot = self.running, self.slot
        assert task is not None
        if isinstance(found, Fault):
            execution = Execution(task=task, slot=slot, walk=None, last=True)
            self.flight.append(execution)
            self.running = None
            return execution
        if found.acquire is not None and not locks.acquire(*found.acquire):
            return None
        if found.iterations:
            words = self.slots[slot]
            current = self.currents.get(slot, words[ITERATION_WORDS[0]] >> 16)
            self.currents[slot] = (current + 1) % found.iterations
        last = found.next is None and self.repeat == 0
        execution = Execution(task=task, slot=slot, walk=found, last=last)
        self.flight.append(execution)
        if last:
            self.running = None
        elif found.next is not None:
            self.slot, self.base = found.next, None
            self.chain.add(self.slot)
        else:
            self.slot, self.base, self.repeat = task.slot, task.base, self.repeat - 1
        return execution

    def retire(self) -> Execution:
        """The oldest execution, which has ended, and its task with it if that was the last."""
        execution = self.flight.popleft()
        if not execution.last:
            self.registers["EXECUTIONS"] += 1
            return execution
        self.registers["EXECUTIONS"] = 0
        self.tasks.popleft()
        self.begun -= 1
        self.registers["RETIRED"] = (self.registers["RETIRED"] + 1) % WORD
        return execution
