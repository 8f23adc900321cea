"""The lock bank by its meaning: numbers that may not leave 0 to 63."""

from __future__ import annotations

from dataclasses import dataclass, field

from ...hw.bus.fault import FaultCode

__all__ = ["LIMIT", "ModelLocks"]

LIMIT = 63


@dataclass
class ModelLocks:
    """Locks, one operation after the other."""

    count: int
    values: list[int] = field(default_factory=list)
    errors: set[tuple[FaultCode, int]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.values = [0] * self.count

    def satisfied(self, lock: int, value: int, equal: bool) -> bool:
        """Whether an acquire would be granted."""
        if lock >= self.count:
            return False
        return self.values[lock] == value if equal else self.values[lock] >= value

    def acquire(self, lock: int, value: int, equal: bool) -> bool:
        """Take it if it can be taken; whether it was."""
        granted = self.satisfied(lock, value, equal)
        if granted and not equal:
            self.values[lock] -= value
        return granted

    def release(self, lock: int, delta: int) -> FaultCode:
        """Add to a lock, or say why not."""
        if lock >= self.count:
            return self._refuse(FaultCode.LOCK_UNKNOWN, lock)
        total = self.values[lock] + delta
        if total > LIMIT:
            return self._refuse(FaultCode.LOCK_OVERFLOW, lock)
        if total < 0:
            return self._refuse(FaultCode.LOCK_UNDERFLOW, lock)
        self.values[lock] = total
        return FaultCode.NONE

    def set(self, lock: int, value: int) -> FaultCode:
        """Put a value into a lock, or say why not."""
        if lock >= self.count:
            return self._refuse(FaultCode.LOCK_UNKNOWN, lock)
        self.values[lock] = value
        return FaultCode.NONE

    def _refuse(self, code: FaultCode, lock: int) -> FaultCode:
        self.errors.add((code, lock))
        return code
