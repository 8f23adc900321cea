"""What can go wrong between the host and the device, as exceptions under one base."""

from __future__ import annotations

from ..hw.errors import WeftError

__all__ = [
    "AllocationError",
    "BusError",
    "DescriptorError",
    "DeviceError",
    "DeviceMismatchError",
    "DeviceTimeout",
    "LockError",
    "MappingError",
    "MemRefError",
    "NotDeviceMemory",
    "ProgramStopped",
    "ProgramWordError",
    "QueueFullError",
    "RecordError",
    "SequenceError",
]


class BusError(WeftError):
    """A register access was answered with an error.

    Parameters
    ----------
    address
        Byte address of the register.
    """

    def __init__(self, address: int) -> None:
        super().__init__(f"register access at {address:#x} was answered with a bus error")
        self.address = address


class DescriptorError(WeftError, ValueError):
    """A buffer descriptor asks for what its mover cannot do: names field, value and limit."""

    def __init__(self, mover: str, field: str, value: object, limit: str) -> None:
        super().__init__(f"descriptor of {mover}: {field} = {value}: {limit}")
        self.mover = mover
        self.field = field
        self.value = value
        self.limit = limit


class DeviceError(WeftError):
    """A mover ended a task with a fault.

    Parameters
    ----------
    mover, descriptor, address, cause
        Name of the mover, its BD slot, the address at fault and a clause that says why.
    """

    def __init__(self, mover: str, descriptor: int, address: int, cause: str) -> None:
        super().__init__(f"mover {mover}, BD {descriptor}, address {address:#x}: {cause}")
        self.mover = mover
        self.descriptor = descriptor
        self.address = address
        self.cause = cause


class LockError(WeftError):
    """The device refused to change a lock.

    Parameters
    ----------
    lock, cause
        Its number, and a clause that says why.
    """

    def __init__(self, lock: int, cause: str) -> None:
        super().__init__(f"lock {lock}: {cause}")
        self.lock = lock
        self.cause = cause


class DeviceMismatchError(WeftError):
    """The device is not what the driver was told it is."""


class DeviceTimeout(WeftError, TimeoutError):  # noqa: N818 - the name says all
    """A wait ran out of cycles; the text has the state of every mover."""


class ProgramStopped(WeftError):  # noqa: N818 - reads as the fact that it states
    """The sequencer stopped a program before its end.

    Parameters
    ----------
    position, op, cause
        Word and instruction at which it stopped, and a clause that says why.
    """

    def __init__(self, position: int, op: str, cause: str) -> None:
        super().__init__(f"the program stopped at word {position}, {op}: {cause}")
        self.position = position
        self.op = op
        self.cause = cause


class QueueFullError(WeftError):
    """A push found the mover's task queue full."""


class RecordError(WeftError, LookupError):
    """Memory holds no completion record of the task."""


class AllocationError(WeftError, MemoryError):
    """Device memory cannot hold, or does not hold, what was asked for."""


class NotDeviceMemory(WeftError, ValueError):  # noqa: N818 - reads as the fact that it states
    """An operand does not lie in the device's memory."""


class ProgramWordError(WeftError, ValueError):
    """A sequencer instruction with a field out of its range: names field, value and limit."""

    def __init__(self, op: str, field: str, value: object, limit: str) -> None:
        super().__init__(f"{op}: {field} = {value}: {limit}")
        self.op = op
        self.field = field
        self.value = value
        self.limit = limit


class MemRefError(WeftError, IndexError):
    """A view that its buffer or its parent does not contain."""


class MappingError(WeftError, ValueError):
    """A transfer or a matrix product that this configuration cannot be programmed to do."""


class SequenceError(WeftError, ValueError):
    """A runtime sequence that cannot be built, or that would fail if it ran."""
