"""What a mover does, and why it waits, from its registers."""

from __future__ import annotations

from dataclasses import dataclass

from ..hw.bus.fault import fault_text
from ..hw.bus.registers import LOCKS_A_REGISTER
from ..hw.config import ARRAY_PORTS, SWITCH, MoverConfig
from ..hw.mover.monitor import StallCause
from .registers import Registers

__all__ = ["MoverState", "read_state"]


@dataclass(frozen=True, kw_only=True)
class MoverState:
    """One mover at one time; as a string, a sentence.

    Parameters
    ----------
    mover
        Its configuration.
    pushed, retired, queued
        Tasks pushed by this driver, retired, and waiting in the queue.
    busy, in_flight, slot, address
        Whether a BD is loaded, how many are, the one loaded last, and the current row's address.
    stall, lock, lock_value
        Why no beat moves; the lock that is waited for, if one is, and its value.
    fault
        What ended a task, or nothing.
    """

    mover: MoverConfig
    pushed: int
    retired: int
    queued: int
    busy: bool
    in_flight: int
    slot: int
    address: int
    stall: int
    lock: int | None = None
    lock_value: int = 0
    fault: str = ""

    @property
    def cause(self) -> str:
        """What it waits for."""
        if self.lock is not None:
            return f"waits for lock {self.lock}, which is {self.lock_value}"
        causes: dict[int, str] = {
            StallCause.NONE: "moves",
            StallCause.LOCK: "waits for a lock",
            StallCause.STARVED: f"waits for data from {self._other(source=True)}",
            StallCause.BLOCKED: f"waits for room in {self._other(source=False)}",
            StallCause.MEMORY: "waits for memory to take a request",
            StallCause.QUEUE: "waits for room in a side queue",
            StallCause.SWITCH: "waits for the mover at the other end of its stream",
        }
        return causes.get(self.stall, f"waits for cause {self.stall}")

    @property
    def _stream(self) -> str:
        bind = self.mover.bind
        if bind in ARRAY_PORTS:
            return "the array"
        return "the switch" if bind == SWITCH else bind

    def _other(self, *, source: bool) -> str:
        """Where the data come from, or go to."""
        if self.mover.is_source == source:
            return "memory"
        return self._stream

    def __str__(self) -> str:
        text = f"{self.mover.name}: {self.retired} of {self.pushed} tasks retired"
        if self.queued:
            text += f", {self.queued} queued"
        if self.busy:
            text += (
                f"; BD {self.slot} at {self.address:#x} ({self.in_flight} in flight) {self.cause}"
            )
        else:
            text += ", idle"
        return text + (f"; failed: {self.fault}" if self.fault else "")


def read_state(
    registers: Registers, mover: MoverConfig, *, pushed: int, retired: int
) -> MoverState:
    """The state of `mover` now."""
    name = mover.name
    status = registers.fields(name, "STATUS")
    lock, value, fault = None, 0, ""
    if status["locked"]:
        lock = status["lock"]
        page, field = divmod(lock, LOCKS_A_REGISTER)
        value = registers.read("system", f"LOCKS_{page}") >> 8 * field & 0xFF
    if status["error"]:
        error = registers.fields(name, "ERROR")
        cause = fault_text(error["code"])
        address = registers.read_wide(name, "FAULT")
        fault = f"BD {error['descriptor']}, address {address:#x}: {cause}"
    return MoverState(
        mover=mover,
        pushed=pushed,
        retired=retired,
        queued=registers.read(name, "LEVEL"),
        busy=bool(status["busy"]),
        in_flight=status["in_flight"],
        slot=status["descriptor"],
        address=registers.read_wide(name, "ADDRESS"),
        stall=status["stall"],
        lock=lock,
        lock_value=value,
        fault=fault,
    )
