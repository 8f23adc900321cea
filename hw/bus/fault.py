"""Why a mover ended a task with an error."""

from enum import IntEnum

from amaranth.lib import data

__all__ = [
    "FAULT_ADDRESS_BITS",
    "FAULT_TEXT",
    "TAG_BITS",
    "FaultCode",
    "fault_report",
    "fault_text",
    "lock_fault",
]

FAULT_ADDRESS_BITS = 64
TAG_BITS = 4
"""Names an execution among those in flight."""


class FaultCode(IntEnum):
    """Cause of a fault; stands in the mover's ERROR register and in the first-error record."""

    NONE = 0
    INVALID = 1
    UNSUPPORTED = 2
    FIELD_RANGE = 3
    ADDRESS_RANGE = 4
    ALIGNMENT = 5
    REACH = 6
    READ_SLVERR = 7
    READ_DECERR = 8
    WRITE_SLVERR = 9
    WRITE_DECERR = 10
    UPSTREAM = 11
    NO_DESCRIPTOR = 12
    DESCRIPTOR_IN_USE = 13
    LOCK_OVERFLOW = 14
    LOCK_UNDERFLOW = 15
    LOCK_UNKNOWN = 16
    WINDOW = 17
    RECORD_SLVERR = 18
    RECORD_DECERR = 19


FAULT_TEXT = {
    FaultCode.NONE: "no fault",
    FaultCode.INVALID: "the descriptor is not valid",
    FaultCode.UNSUPPORTED: "the descriptor sets a field that this hardware does not have",
    FaultCode.FIELD_RANGE: "a descriptor field does not fit the hardware's address width",
    FaultCode.ADDRESS_RANGE: "an address lies outside the scratchpad",
    FaultCode.ALIGNMENT: "an address is not a multiple of a scratchpad word",
    FaultCode.REACH: "a channel would leave the banks that it reaches",
    FaultCode.READ_SLVERR: "the bus answered a read with SLVERR",
    FaultCode.READ_DECERR: "the bus answered a read with DECERR",
    FaultCode.WRITE_SLVERR: "the bus answered a write with SLVERR",
    FaultCode.WRITE_DECERR: "the bus answered a write with DECERR",
    FaultCode.UPSTREAM: "the stream's source failed",
    FaultCode.NO_DESCRIPTOR: "the pushed task names a descriptor slot that does not exist",
    FaultCode.DESCRIPTOR_IN_USE: "a descriptor slot was written while a task used it",
    FaultCode.LOCK_OVERFLOW: "a release would have taken a lock beyond 63",
    FaultCode.LOCK_UNDERFLOW: "a release would have taken a lock below 0",
    FaultCode.LOCK_UNKNOWN: "a lock that does not exist was released or set",
    FaultCode.WINDOW: "an address lies outside the windows that the mover may touch",
    FaultCode.RECORD_SLVERR: "the bus answered the writing of a task's record with SLVERR",
    FaultCode.RECORD_DECERR: "the bus answered the writing of a task's record with DECERR",
}
"""One clause a code, for messages."""


def fault_text(code: int) -> str:
    """The clause of a code read from a register, which may be one that this version lacks."""
    known = {entry.value for entry in FaultCode}
    return FAULT_TEXT[FaultCode(code)] if code in known else f"fault code {code}"


def fault_report(address: object = FAULT_ADDRESS_BITS) -> data.StructLayout:
    """A port's report to its core: ``code`` (NONE when there is nothing) and ``address``, of a
    shape that all have that its port can report.

    Combinational or registered, it counts in any cycle in which ``code`` is not NONE. The core
    keeps the first. A fault belongs to the oldest execution in flight unless it is ``named``: then
    to the one whose rows carry ``tag``, which may have been prefetched.
    """
    return data.StructLayout({"code": 8, "address": address, "named": 1, "tag": TAG_BITS})


def lock_fault() -> data.StructLayout:
    """The locks refused something: a pulse ``valid``, with ``code``, of which ``lock`` and whom."""
    return data.StructLayout({"valid": 1, "client": 8, "code": 8, "lock": 8})
