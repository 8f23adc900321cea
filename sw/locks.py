"""Locks: counting semaphores that descriptors, the sequencer and the host acquire and release."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..hw.mover.locks import LOCK_VALUE_BITS
from .descriptor import BufferDescriptor
from .errors import SequenceError

__all__ = ["MAX_LOCK", "Acquire", "Lock", "Release", "SetLock", "locked"]

MAX_LOCK = (1 << LOCK_VALUE_BITS) - 1
"""Highest value of a lock."""


@dataclass(frozen=True)
class Lock:
    """One lock of the device by number, with a name for the reader."""

    index: int
    name: str

    def __str__(self) -> str:
        return self.name

    def acquire_ge(self, value: int = 1) -> Acquire:
        """Wait until the lock is at least `value`, and take that much off it."""
        return Acquire(self, value)

    def acquire_eq(self, value: int) -> Acquire:
        """Wait until the lock is `value`, and leave it so."""
        return Acquire(self, value, equal=True)

    def release(self, delta: int = 1) -> Release:
        """Add `delta`."""
        return Release(self, delta)

    def set(self, value: int) -> SetLock:
        """Make the lock be `value`, whatever it was."""
        return SetLock(self, value)


@dataclass(frozen=True)
class Acquire:
    """Of a sequence, or of a descriptor at every execution; see :meth:`Lock.acquire_ge`."""

    lock: Lock
    value: int
    equal: bool = False

    def __post_init__(self) -> None:
        _require(self.lock, "value", self.value, 0, MAX_LOCK)

    def __str__(self) -> str:
        return f"acquire {self.condition}"

    @property
    def condition(self) -> str:
        """What it waits for."""
        return f"{self.lock} {'=' if self.equal else '>='} {self.value}"

    def met(self, value: int) -> bool:
        """Whether a lock of `value` satisfies it."""
        return value == self.value if self.equal else value >= self.value

    @property
    def taken(self) -> int:
        """What it takes off the lock."""
        return 0 if self.equal else self.value


@dataclass(frozen=True)
class Release:
    """Of a sequence, or of a descriptor when an execution retires; see :meth:`Lock.release`."""

    lock: Lock
    delta: int

    def __post_init__(self) -> None:
        _require(self.lock, "delta", self.delta, -MAX_LOCK - 1, MAX_LOCK)

    def __str__(self) -> str:
        return f"release {self.lock} by {self.delta}"


@dataclass(frozen=True)
class SetLock:
    """See :meth:`Lock.set`."""

    lock: Lock
    value: int

    def __post_init__(self) -> None:
        _require(self.lock, "value", self.value, 0, MAX_LOCK)

    def __str__(self) -> str:
        return f"set {self.lock} to {self.value}"


def locked(
    descriptor: BufferDescriptor, acquire: Acquire | None = None, release: Release | None = None
) -> BufferDescriptor:
    """`descriptor` with what it acquires before, and releases after, every execution."""
    if acquire is not None:
        descriptor = replace(
            descriptor,
            acquire_enable=1,
            acquire_mode=int(acquire.equal),
            acquire_id=acquire.lock.index,
            acquire_value=acquire.value,
        )
    if release is not None and release.delta:
        descriptor = replace(descriptor, release_id=release.lock.index, release_delta=release.delta)
    return descriptor


def _require(lock: Lock, name: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise SequenceError(f"lock {lock}: {name} = {value}: must be from {low} to {high}")
