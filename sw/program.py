"""Tasks on the movers: descriptor slots, pushes, tokens and what to say when something fails."""

from __future__ import annotations

import itertools
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from ..hw.bus.fault import FAULT_TEXT, FaultCode
from ..hw.bus.registers import RegisterError
from ..hw.config import AcceleratorConfig, MoverConfig
from ..hw.mover.descriptor import Descriptor
from ..hw.mover.monitor import StallCause
from .descriptor import BufferDescriptor
from .errors import DescriptorError, DeviceError, DeviceTimeout, QueueFullError
from .registers import Registers

__all__ = ["DEFAULT_TIMEOUT", "MAX_REPEAT", "Program", "PushedTask"]

DEFAULT_TIMEOUT = 1_000_000
"""Cycles that a wait lasts unless it is told otherwise."""

MAX_REPEAT = 256

POLL_CYCLES = 256
"""How long a wait for a task that raises no interrupt sleeps between two looks."""

COUNTER = 1 << 32
"""RETIRED and the tokens taken from it wrap."""


@dataclass(kw_only=True)
class _Mover:
    """The host's knowledge of one mover."""

    config: MoverConfig
    spec: Descriptor
    index: int
    pushed: int = 0
    retired: int = 0
    slots: dict[int, Sequence[int]] = field(default_factory=dict)
    """Words known to be in each slot."""
    pending: deque[tuple[int, int]] = field(default_factory=deque)
    """Token and slot of tasks not known to have retired."""
    interrupting: set[int] = field(default_factory=set)
    """Tokens of pending tasks that raise an interrupt."""

    def uses(self, slot: int) -> bool:
        """Whether a pending task needs `slot` as it is."""
        return any(used == slot for _, used in self.pending)

    def changes(self, slot: int, words: list[int]) -> dict[int, int]:
        """The words, by index, that make `slot` hold `words`."""
        known: Sequence[int | None] = self.slots.get(slot, [None] * len(words))
        return {i: word for i, word in enumerate(words) if known[i] != word}


@dataclass(frozen=True, kw_only=True)
class PushedTask:
    """A task as the log of a :class:`Program` has it; `label` is for the reader, if not empty."""

    mover: str
    slot: int
    token: int
    label: str


class Program:
    """What the host has asked of a device's movers.

    Every push returns a *token*: the count that the mover's RETIRED register shows when the task
    has retired. The counts start at 0 with a soft reset, so one `Program` speaks to a device at a
    time.

    Parameters
    ----------
    registers
        Of the device.
    config
        The system.

    Attributes
    ----------
    log : list of :class:`PushedTask`, or None
        Every push since the last soft reset, where somebody has put a list to keep them.
    """

    def __init__(self, registers: Registers, config: AcceleratorConfig) -> None:
        self.registers = registers
        self.config = config
        self.log: list[PushedTask] | None = None
        self._movers: dict[str, _Mover] = {}
        self.forget()

    def forget(self) -> None:
        """Start again after a soft reset: no task, no known descriptor."""
        self._movers = {
            mover.name: _Mover(config=mover, spec=Descriptor(self.config, mover), index=index)
            for index, mover in enumerate(self.config.movers)
        }
        if self.log is not None:
            self.log.clear()

    def encode(self, mover: str, descriptor: BufferDescriptor) -> list[int]:
        """The words of `descriptor` for `mover`; raises `DescriptorError` if it is impossible."""
        return descriptor.encode(self._mover(mover).spec)

    def write(self, mover: str, slot: int, descriptor: BufferDescriptor) -> None:
        """Put `descriptor` into a BD slot; only words that differ from the slot's are written.

        Raises
        ------
        DescriptorError
            The descriptor is impossible, or a task that uses the slot has not retired.
        RegisterError
            The mover has no such slot.
        """
        state = self._mover(mover)
        self._store(state, slot, self.encode(mover, descriptor))

    def place(self, mover: str, descriptor: BufferDescriptor) -> int:
        """Put `descriptor` into a slot of the driver's choice and return it.

        A slot that holds it already is taken as it is; otherwise the free one that takes the fewest
        writes.

        Raises
        ------
        QueueFullError
            Every slot belongs to a task that has not retired.
        """
        state = self._mover(mover)
        words = self.encode(mover, descriptor)
        for slot, known in state.slots.items():
            if known == words:
                return slot
        free = self._free_slots(state, 1)
        slot = min(free, key=lambda slot: len(state.changes(slot, words)))
        self._store(state, slot, words)
        return slot

    def push(
        self,
        mover: str,
        slot: int,
        repeat: int = 1,
        interrupt: bool = False,
        label: str = "",
    ) -> int:
        """Push a task that executes BD `slot` `repeat` times; its token.

        `label` names it in the log.

        Raises
        ------
        QueueFullError
            The mover's queue has no room; nothing was pushed.
        DescriptorError
            An impossible slot or repeat, or a slot that was never written.
        """
        state = self._mover(mover)
        if slot not in state.slots:
            raise DescriptorError(mover, "slot", slot, "no descriptor was written there")
        if not 1 <= repeat <= MAX_REPEAT:
            raise DescriptorError(mover, "repeat", repeat, f"must be from 1 to {MAX_REPEAT}")
        self._require_room(state, 1)
        self.registers.write_fields(
            mover, "PUSH", descriptor=slot, repeat=repeat - 1, interrupt=int(interrupt)
        )
        state.pushed = (state.pushed + 1) % COUNTER
        state.pending.append((state.pushed, slot))
        if interrupt:
            state.interrupting.add(state.pushed)
        if self.log is not None:
            self.log.append(PushedTask(mover=mover, slot=slot, token=state.pushed, label=label))
        return state.pushed

    def submit(self, steps: Sequence[tuple[str, BufferDescriptor]]) -> int:
        """Place and push the tasks of one piece of work; the token of the last, which interrupts.

        Raises
        ------
        DescriptorError, QueueFullError
            One of them is impossible, or has no room: nothing was pushed.
        """
        for mover, descriptor in steps:
            self.encode(mover, descriptor)
        for mover, count in Counter(mover for mover, _ in steps).items():
            state = self._mover(mover)
            self._require_room(state, count)
            self._free_slots(state, count)
        token = 0
        for index, (mover, descriptor) in enumerate(steps):
            slot = self.place(mover, descriptor)
            token = self.push(mover, slot, interrupt=index + 1 == len(steps))
        return token

    def feed(
        self,
        calls: Sequence[Sequence[tuple[str, BufferDescriptor]]],
        timeout: int = DEFAULT_TIMEOUT,
    ) -> int:
        """Submit pieces of work one after the other, each as soon as it has room.

        Returns the token of the last task.

        Raises
        ------
        DescriptorError
            One is impossible: nothing was pushed.
        QueueFullError
            One has no room in queues of any level: those before it were pushed.
        DeviceError, DeviceTimeout
            As `wait`: it waits, and so may fail, for what was pushed before.
        """
        for mover, descriptor in itertools.chain.from_iterable(calls):
            self.encode(mover, descriptor)
        token = 0
        for steps in calls:
            counts = Counter(mover for mover, _ in steps)
            # The last step's mover first: its tasks wake the host.
            for mover in reversed(counts):
                self.wait_room(mover, counts[mover], timeout)
            token = self.submit(steps)
        return token

    def wait_room(self, mover: str, count: int = 1, timeout: int = DEFAULT_TIMEOUT) -> None:
        """Return when the mover has room for `count` tasks and as many free BD slots, or no tasks.

        Errors as `wait`.
        """
        state = self._mover(mover)
        room = min(state.config.queue_depth, state.config.descriptors)
        while state.pending and len(state.pending) + count > room:
            self.wait(mover, state.pending[0][0], timeout)

    def retired(self, mover: str) -> int:
        """The mover's RETIRED count, read now."""
        state = self._mover(mover)
        state.retired = self.registers.read(mover, "RETIRED")
        while state.pending and _reached(state.retired, state.pending[0][0]):
            token, _ = state.pending.popleft()
            state.interrupting.discard(token)
        return state.retired

    def wait(self, mover: str, token: int, timeout: int = DEFAULT_TIMEOUT) -> None:
        """Return when the mover's task `token` has retired and no mover has failed.

        Raises
        ------
        DeviceError
            A mover recorded a fault.
        QueueFullError
            The hardware refused a push (somebody else's: this driver looks first).
        DeviceTimeout
            `timeout` cycles went by.
        """
        state = self._mover(mover)
        if not _reached(state.pushed, token):
            raise DescriptorError(mover, "token", token, f"only {state.pushed} tasks were pushed")
        transport = self.registers.transport
        deadline = transport.cycles + timeout
        while True:
            done = _reached(self.retired(mover), token)
            # The fault is looked at after the count: a task that failed retires as well, and its
            # fault is recorded no later than that.
            self.check()
            if done:
                return
            left = deadline - transport.cycles
            if left <= 0:
                raise DeviceTimeout(
                    f"{mover} has retired {state.retired} tasks, not {token}, after {timeout} "
                    f"cycles; {self.describe()}"
                )
            sleep = left if token in state.interrupting else min(left, POLL_CYCLES)
            if transport.wait_interrupt(sleep):
                # Cleared before RETIRED is read, so that no later event is lost with this one.
                self.registers.write("system", "IRQ_DONE", (1 << len(self._movers)) - 1)

    def check(self) -> None:
        """Raise what the movers have reported since the last reset, if anything.

        Raises
        ------
        DeviceError, QueueFullError
            As in `wait`.
        """
        faults = self.registers.read("system", "IRQ_FAULT")
        if faults == 0:
            return
        first = self.registers.fields("system", "FIRST_ERROR")
        if first["valid"]:
            name = self.config.movers[first["mover"]].name
            code = first["code"]
            known = code in {entry.value for entry in FaultCode}
            raise DeviceError(
                name,
                first["descriptor"],
                self.registers.read_wide(name, "FAULT"),
                FAULT_TEXT[FaultCode(code)] if known else f"fault code {code}",
            )
        refusing = [s.config.name for s in self._movers.values() if faults >> s.index & 1]
        raise QueueFullError(f"a push to the full queue of {', '.join(refusing)} was refused")

    def _mover(self, name: str) -> _Mover:
        try:
            return self._movers[name]
        except KeyError:
            raise RegisterError(
                f"mover {name!r}: must be one of {', '.join(self._movers)}"
            ) from None

    def describe(self) -> str:
        """The state of every mover, on one line."""
        return "; ".join(self._describe(state) for state in self._movers.values())

    def _describe(self, state: _Mover) -> str:
        name = state.config.name
        status = self.registers.fields(name, "STATUS")
        level = self.registers.read(name, "LEVEL")
        text = f"{name}: retired {self.retired(name)}/{state.pushed}, queue {level}"
        if not status["busy"]:
            return f"{text}, idle"
        causes: Sequence[str] = [cause.name.lower() for cause in StallCause]
        stall = status["stall"]
        cause = causes[stall] if stall < len(causes) else f"cause {stall}"
        return (
            f"{text}, busy with BD {status['descriptor']} ({status['in_flight']} in flight) at "
            f"{self.registers.read_wide(name, 'ADDRESS'):#x}, stall {cause}"
        )

    def _require_room(self, state: _Mover, count: int) -> None:
        """Raise unless `count` more tasks fit the mover's queue."""
        depth, name = state.config.queue_depth, state.config.name
        # Tasks not known to have retired bound the level from above: the device is asked only
        # where they might fill the queue.
        if len(state.pending) + count > depth:
            self.retired(name)
        if len(state.pending) + count > depth:
            level = self.registers.read(name, "LEVEL")
            if level + count > depth:
                raise QueueFullError(
                    f"the queue of {name} holds {level} of {depth} tasks and {count} more do not "
                    "fit; wait for one to retire"
                )

    def _free_slots(self, state: _Mover, count: int) -> list[int]:
        """BD slots that no pending task needs; raises unless there are `count`."""
        # One look at the device may free a slot that takes fewer writes than a fresh one.
        if state.pending:
            self.retired(state.config.name)
        slots = range(state.config.descriptors)
        free = [slot for slot in slots if not state.uses(slot)]
        if len(free) < count:
            raise QueueFullError(
                f"{len(free)} of {state.config.name}'s {len(slots)} BD slots are free and {count} "
                "are needed; wait for a task to retire"
            )
        return free

    def _store(self, state: _Mover, slot: int, words: list[int]) -> None:
        name = state.config.name
        changes = state.changes(slot, words)
        if not changes:
            return
        if state.uses(slot):
            self.retired(name)
        if state.uses(slot):
            raise DescriptorError(name, "slot", slot, "a task that uses it has not retired")
        # Unknown until every word has arrived: an access may fail half way.
        state.slots.pop(slot, None)
        self.registers.write_slot(name, slot, changes)
        state.slots[slot] = words


def _reached(count: int, token: int) -> bool:
    """Whether a wrapping count has come to `token`."""
    return (count - token) % COUNTER < COUNTER // 2
