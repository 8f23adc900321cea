"""The device's locks, over the register bus."""

from __future__ import annotations

from ..hw.bus.registers import LOCKS_A_REGISTER
from ..hw.mover.locks import LOCK_DELTA_BITS
from .errors import DeviceTimeout
from .locks import Acquire, Release, SetLock
from .program import DEFAULT_TIMEOUT, POLL_CYCLES, Program

__all__ = ["LockBank"]


class LockBank:
    """What the host does with locks.

    Parameters
    ----------
    program
        Of the device; its faults end a wait.
    """

    def __init__(self, program: Program) -> None:
        self._program = program
        self._registers = program.registers

    @property
    def values(self) -> list[int]:
        """Of every lock, read now."""
        count = self._program.config.locks
        found: list[int] = []
        for first in range(0, count, LOCKS_A_REGISTER):
            fields = self._registers.fields("system", f"LOCKS_{first // LOCKS_A_REGISTER}")
            found += fields.values()
        return found

    def set(self, setting: SetLock) -> None:
        """Make a lock be a value."""
        self._registers.write_fields(
            "system", "LOCK_SET", id=setting.lock.index, value=setting.value
        )

    def release(self, release: Release) -> None:
        """Add to a lock; what would leave its range is recorded as a fault."""
        delta = release.delta % (1 << LOCK_DELTA_BITS)
        self._registers.write_fields("system", "LOCK_RELEASE", id=release.lock.index, delta=delta)

    def try_acquire(self, acquire: Acquire) -> bool:
        """Acquire a lock if that is possible now."""
        self._registers.write_fields(
            "system",
            "LOCK_ACQUIRE",
            id=acquire.lock.index,
            value=acquire.value,
            equal=int(acquire.equal),
        )
        while not (result := self._registers.fields("system", "LOCK_RESULT"))["done"]:
            pass
        return bool(result["granted"])

    def acquire(self, acquire: Acquire, timeout: int = DEFAULT_TIMEOUT) -> None:
        """Acquire a lock as soon as that is possible.

        Raises
        ------
        DeviceError, LockError, QueueFullError
            As :meth:`Program.wait`.
        DeviceTimeout
            `timeout` cycles went by.
        """
        transport = self._registers.transport
        deadline = transport.cycles + timeout
        while not self.try_acquire(acquire):
            self._program.check()
            left = deadline - transport.cycles
            if left <= 0:
                raise DeviceTimeout(
                    f"{acquire} was not granted within {timeout} cycles, the lock is "
                    f"{self.values[acquire.lock.index]}; {self._program.describe()}"
                )
            self._program.pause(min(left, POLL_CYCLES))
