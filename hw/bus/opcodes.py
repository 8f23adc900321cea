"""The sequencer's programs: opcodes, instruction words, and how a program ends.

A program is a sequence of little-endian 64-bit words in DRAM, its first on an address that is a
multiple of :data:`PROGRAM_ALIGNMENT`. An instruction is one word of :func:`instruction`, followed
by its payload words. :data:`FORMS` says for each opcode what may stand in which field.
"""

from dataclasses import dataclass
from enum import IntEnum

from amaranth.lib import data

from .registers import PAGE_BYTES

__all__ = [
    "ADD_ARGUMENT",
    "ARGUMENT_BITS",
    "ARGUMENT_LOW",
    "EQUAL",
    "FORMS",
    "LOOP_COUNTERS",
    "OPCODE_BITS",
    "PROGRAM_ALIGNMENT",
    "PUSH_WORD",
    "STOP_TEXT",
    "Form",
    "Opcode",
    "StopCode",
    "completion_record",
    "instruction",
]

PROGRAM_ALIGNMENT = 64
LOOP_COUNTERS = 4

PUSH_WORD = 0x1FFFF
"""The bits of the PUSH register that PUSH and PUSH_AT may give: all but `rebase`."""
ADD_ARGUMENT = 1 << 31
"""In the ``imm`` of PUSH_AT: add argument ``imm[ARGUMENT_LOW + 3:ARGUMENT_LOW]`` to the base."""
ARGUMENT_LOW = 24
ARGUMENT_BITS = 4
EQUAL = 1 << 8
"""In the ``imm`` of ACQUIRE: wait until the lock is equal to the value, and leave it."""


class Opcode(IntEnum):
    """What an instruction does.

    ``END``: the program is done.
    ``WRITE``: register ``arg`` of page ``target`` := ``imm``.
    ``MASKED_WRITE``: its bits that are set in the payload's low half := those of ``imm``.
    ``BLOCK_WRITE``: ``imm`` registers from ``arg`` up := the payload's halves, lower first.
    ``ARG``: registers ``arg`` and ``arg`` + 4 := argument ``imm`` plus the payload, 64 bits.
    ``PUSH``: pushes the task ``imm`` to the mover of page ``target`` when its queue has room.
    ``PUSH_AT``: the same with the payload, plus an argument if it says so, as its base.
    ``WAIT``: until the mover of page ``target`` has retired ``imm`` tasks since the doorbell.
    ``ACQUIRE``: lock ``target``, value ``imm``; waits for it.
    ``RELEASE``: adds the signed ``imm`` to lock ``target``.
    ``SET_LOCK``: lock ``target`` := ``imm``.
    ``LOOP``: back by ``arg`` words until this has been done ``imm`` times: counter ``target``, or
    ``imm`` if it is 0, less 1 is the times that are left.
    """

    END = 0
    WRITE = 1
    MASKED_WRITE = 2
    BLOCK_WRITE = 3
    ARG = 4
    PUSH = 5
    PUSH_AT = 6
    WAIT = 7
    ACQUIRE = 8
    RELEASE = 9
    SET_LOCK = 10
    LOOP = 11


OPCODE_BITS = max(Opcode).bit_length()
"""Of an opcode that there is."""


def instruction() -> data.StructLayout:
    """The first word of an instruction."""
    return data.StructLayout({"op": 8, "target": 8, "arg": 16, "imm": 32})


@dataclass(frozen=True, kw_only=True)
class Form:
    """What may stand in an instruction.

    Parameters
    ----------
    payload
        Whether a payload follows: one word, of BLOCK_WRITE as many as hold ``imm`` halves.
    target, arg, imm
        The bits that may be set. Those of RELEASE's ``imm`` are the low bits of a signed number
        and their extension.
    """

    payload: bool = False
    target: int = 0xFF
    arg: int = 0
    imm: int = 0


_OFFSET = PAGE_BYTES - 4
_WORD = 0xFFFF_FFFF
_ARGUMENT = (1 << ARGUMENT_BITS) - 1

FORMS = {
    Opcode.END: Form(target=0),
    Opcode.WRITE: Form(arg=_OFFSET, imm=_WORD),
    Opcode.MASKED_WRITE: Form(payload=True, arg=_OFFSET, imm=_WORD),
    Opcode.BLOCK_WRITE: Form(payload=True, arg=_OFFSET, imm=_WORD),
    Opcode.ARG: Form(payload=True, arg=_OFFSET, imm=_ARGUMENT),
    Opcode.PUSH: Form(imm=PUSH_WORD),
    Opcode.PUSH_AT: Form(payload=True, imm=PUSH_WORD | ADD_ARGUMENT | _ARGUMENT << ARGUMENT_LOW),
    Opcode.WAIT: Form(imm=_WORD),
    Opcode.ACQUIRE: Form(imm=EQUAL | 0x3F),
    Opcode.RELEASE: Form(imm=_WORD),
    Opcode.SET_LOCK: Form(imm=0x3F),
    Opcode.LOOP: Form(target=LOOP_COUNTERS - 1, arg=0xFFFF, imm=_WORD),
}


class StopCode(IntEnum):
    """Why a program stopped; ``NONE``: it came to its END."""

    NONE = 0
    BAD_OPCODE = 1
    BAD_TARGET = 2
    BAD_ARGUMENT = 3
    FETCH_SLVERR = 4
    FETCH_DECERR = 5
    REGISTER = 6
    MOVER = 7
    PROGRAM_ADDRESS = 8
    RECORD_ADDRESS = 9
    RECORD_SLVERR = 10
    RECORD_DECERR = 11


STOP_TEXT = {
    StopCode.NONE: "no error",
    StopCode.BAD_OPCODE: "the instruction does not exist",
    StopCode.BAD_TARGET: "the instruction names a page, mover or lock that it cannot act on",
    StopCode.BAD_ARGUMENT: "a field of the instruction is out of its range",
    StopCode.FETCH_SLVERR: "the bus answered the fetch of the instruction with SLVERR",
    StopCode.FETCH_DECERR: "the bus answered the fetch of the instruction with DECERR",
    StopCode.REGISTER: "a register access was answered with an error",
    StopCode.MOVER: "a mover or a lock failed",
    StopCode.PROGRAM_ADDRESS: "the program's address is not aligned, or too high for the bus",
    StopCode.RECORD_ADDRESS: "the record's address is not aligned, or too high for the bus",
    StopCode.RECORD_SLVERR: "the bus answered the writing of the record with SLVERR",
    StopCode.RECORD_DECERR: "the bus answered the writing of the record with DECERR",
}
"""One clause a code, for messages."""


def completion_record() -> data.StructLayout:
    """What is written to DRAM when a program has ended.

    ``status`` is 1 (done) or 2 (error), with the StopCode and the Opcode it stopped at;
    ``first_error`` is the system page's FIRST_ERROR; ``fault`` and ``fault_address`` are that
    mover's ERROR and FAULT, 0 where no mover failed.
    """
    return data.StructLayout(
        {
            "status": 8,
            "code": 8,
            "op": 8,
            "reserved": 8,
            "position": 32,
            "cycles": 64,
            "first_error": 32,
            "fault": 32,
            "fault_address": 64,
        }
    )
