"""Tasks on the movers: descriptor slots, pushes, tokens and what to say when something fails."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from ..hw.bus.fault import fault_text
from ..hw.bus.registers import RegisterError
from ..hw.config import AcceleratorConfig
from ..hw.mover.descriptor import Descriptor
from .descriptor import BufferDescriptor
from .diagnosis import MoverState, read_state
from .errors import DescriptorError, DeviceError, DeviceTimeout, LockError, QueueFullError
from .ledger import Ledger, reached
from .registers import Registers

__all__ = ["DEFAULT_TIMEOUT", "MAX_REPEAT", "Program", "PushedTask"]

DEFAULT_TIMEOUT = 1_000_000
"""Cycles that a wait lasts unless it is told otherwise."""

MAX_REPEAT = 256

POLL_CYCLES = 256
"""How long a wait for a task that raises no interrupt sleeps between two looks."""


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
        self._movers: dict[str, Ledger] = {}
        self.forget()

    def forget(self, *movers: str) -> None:
        """Start again after a soft reset: no task, no known descriptor.

        With `movers`, after their abort: no task of theirs. Their tokens go on from RETIRED, and
        those of the tasks that were aborted mean nothing any more; BD slots keep what they hold.
        """
        if movers:
            for name in movers:
                state = self._mover(name)
                state.pending.clear()
                state.interrupting.clear()
                state.pushed = self.retired(name)
            return
        self._movers = {
            mover.name: Ledger(config=mover, spec=Descriptor(self.config, mover), index=index)
            for index, mover in enumerate(self.config.movers)
        }
        if self.log is not None:
            self.log.clear()

    def encode(self, mover: str, descriptor: BufferDescriptor) -> list[int]:
        """The words of `descriptor` for `mover`; raises `DescriptorError` if it is impossible."""
        return descriptor.encode(self._mover(mover).spec)

    def write(self, mover: str, slot: int, descriptor: BufferDescriptor) -> None:
        """Put `descriptor` into a BD slot; only words that differ from the slot's are written.

        The state of an iteration changes by itself: a descriptor with one is written anew.

        Raises
        ------
        DescriptorError
            The descriptor is impossible, or a task that uses the slot has not retired.
        RegisterError
            The mover has no such slot.
        """
        state = self._mover(mover)
        self._store(state, slot, descriptor)

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
            if known == words and descriptor.iteration_size < 2:
                return slot
        free = self._free_slots(state, 1)
        slot = min(free, key=lambda slot: len(state.changes(slot, words)))
        self._store(state, slot, descriptor)
        return slot

    def push(
        self,
        mover: str,
        slot: int,
        repeat: int = 1,
        interrupt: bool = False,
        label: str = "",
        *,
        base: int | None = None,
    ) -> int:
        """Push a task that executes the chain from BD `slot` on `repeat` times; its token.

        `label` names it in the log; `base` replaces the first descriptor's.

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
        if base is not None:
            self.registers.write_wide(mover, "BASE", base)
        self.registers.write_fields(
            mover,
            "PUSH",
            descriptor=slot,
            repeat=repeat - 1,
            interrupt=int(interrupt),
            rebase=int(base is not None),
        )
        return self.note_push(mover, slot, interrupt, label)

    def note_push(self, mover: str, slot: int, interrupt: bool, label: str) -> int:
        """Write down a push that has been, or will be, done; the task's token."""
        state = self._mover(mover)
        state.note_push(slot, interrupt)
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

    def wait_queue(self, mover: str, timeout: int = DEFAULT_TIMEOUT) -> None:
        """Return when the mover's queue takes a push; errors as `wait`."""
        transport = self.registers.transport
        deadline = transport.cycles + timeout
        while True:
            try:
                return self._require_room(self._mover(mover), 1)
            except QueueFullError as full:
                self.check()
                left = deadline - transport.cycles
                if left <= 0:
                    raise DeviceTimeout(f"{full} ({timeout} cycles); {self.describe()}") from None
                self.pause(min(left, POLL_CYCLES))

    def pause(self, cycles: int) -> None:
        """Let time pass until a task that interrupts has retired, a fault, or `cycles` later."""
        if self.registers.transport.wait_interrupt(cycles):
            # Whoever waits for a task reads RETIRED after this, so that no event is lost with it.
            self.registers.write("system", "IRQ_DONE", (1 << len(self._movers)) - 1)

    def pushed(self, mover: str) -> int:
        """Tasks pushed to the mover since the last reset, modulo 2**32: the last one's token."""
        return self._mover(mover).pushed

    def ledger(self, mover: str) -> Ledger:
        """What is known of a mover; for whoever drives it past this object, to write it down."""
        return self._mover(mover)

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
        while state.pending and reached(state.retired, state.pending[0][0]):
            token, _ = state.pending.popleft()
            state.interrupting.discard(token)
        return state.retired

    def wait(self, mover: str, token: int, timeout: int = DEFAULT_TIMEOUT) -> None:
        """Return when the mover's task `token` has retired and no mover has failed.

        Raises
        ------
        DeviceError, LockError
            A mover recorded a fault, or the locks did.
        QueueFullError
            The hardware refused a push (somebody else's: this driver looks first).
        DeviceTimeout
            `timeout` cycles went by.
        """
        state = self._mover(mover)
        if not reached(state.pushed, token):
            raise DescriptorError(mover, "token", token, f"only {state.pushed} tasks were pushed")
        transport = self.registers.transport
        deadline = transport.cycles + timeout
        while True:
            done = reached(self.retired(mover), token)
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
            self.pause(left if token in state.interrupting else min(left, POLL_CYCLES))

    def check(self) -> None:
        """Raise what the movers have reported since the last reset, if anything.

        Raises
        ------
        DeviceError, LockError, QueueFullError
            As in `wait`.
        """
        faults = self.registers.read("system", "IRQ_FAULT")
        if faults == 0:
            return
        first = self.registers.fields("system", "FIRST_ERROR")
        if first["valid"]:
            cause, movers = fault_text(first["code"]), self.config.movers
            if first["mover"] >= len(movers):
                raise LockError(first["descriptor"], cause)
            name = movers[first["mover"]].name
            address = self.registers.read_wide(name, "FAULT")
            raise DeviceError(name, first["descriptor"], address, cause)
        refusing = [s.config.name for s in self._movers.values() if faults >> s.index & 1]
        if not refusing:
            return
        raise QueueFullError(f"a push to the full queue of {', '.join(refusing)} was refused")

    def _mover(self, name: str) -> Ledger:
        try:
            return self._movers[name]
        except KeyError:
            raise RegisterError(
                f"mover {name!r}: must be one of {', '.join(self._movers)}"
            ) from None

    def diagnose(self) -> list[MoverState]:
        """What every mover does now, and why it waits."""
        return [
            read_state(
                self.registers,
                state.config,
                pushed=state.pushed,
                retired=self.retired(state.config.name),
            )
            for state in self._movers.values()
        ]

    def describe(self) -> str:
        """The state of every mover, on one line."""
        return " | ".join(str(state) for state in self.diagnose())

    def _require_room(self, state: Ledger, count: int) -> None:
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

    def _free_slots(self, state: Ledger, count: int) -> list[int]:
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

    def _store(self, state: Ledger, slot: int, descriptor: BufferDescriptor) -> None:
        name = state.config.name
        words = self.encode(name, descriptor)
        if descriptor.iteration_size > 1:
            state.slots.pop(slot, None)
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
        state.note_write(slot, words, descriptor)
