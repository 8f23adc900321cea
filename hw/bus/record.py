"""Completion records: 32 bytes in DRAM that say what became of a program, or of a task.

Each mover has a ring of :data:`RING_PLACES` of them for its tasks; that of the task with token t is
in place t modulo their number.
"""

from enum import IntEnum

from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import RECORD_BYTES
from .axi import Response
from .fault import FAULT_ADDRESS_BITS

__all__ = [
    "RING_BYTES",
    "RING_PLACES",
    "RecordClientSignature",
    "TaskStatus",
    "operator_result",
    "record_request",
    "task_record",
]

RING_PLACES = 64
RING_BYTES = RING_PLACES * RECORD_BYTES
"""A ring begins on a multiple of it."""


class TaskStatus(IntEnum):
    """``status`` of a :func:`task_record`."""

    DONE = 1
    FAULT = 2


def task_record() -> data.StructLayout:
    """What is written to DRAM when a task has ended.

    ``status`` is a :class:`TaskStatus`. Of the earliest execution with a fault: its first FaultCode
    ``code``, BD slot ``descriptor`` and ``fault_address``; without one the slot is that of the last
    execution. ``token``: RETIRED from this task on. ``bytes``: those that the task has completed,
    all executions together, counted as PROGRESS counts them. ``result`` is the stream operator's of
    the last execution, if ``has_result``: a CRC, or the offset of the first difference, all ones
    for none. ``result_error``: a fault spoilt some of its bytes.
    """
    return data.StructLayout(
        {
            "status": 8,
            "code": 8,
            "descriptor": 8,
            "reserved": 8,
            "token": 32,
            "bytes": 64,
            "fault_address": FAULT_ADDRESS_BITS,
            "result": 32,
            "has_result": 1,
            "result_error": 1,
            "reserved_flags": 30,
        }
    )


def operator_result() -> data.StructLayout:
    """What a stream operator found in one execution; ``error``: a fault spoilt some bytes."""
    return data.StructLayout({"value": 32, "error": 1})


def record_request(address_bits: int) -> data.StructLayout:
    """The 32 bytes ``record`` for the address ``place`` * 32."""
    place_bits = address_bits - (RECORD_BYTES - 1).bit_length()
    return data.StructLayout({"place": place_bits, "record": 8 * RECORD_BYTES})


class RecordClientSignature(wiring.Signature):
    """Whoever has records to write, as it sees who writes them.

    Members
    -------
    request : stream of :func:`record_request`
    answer : {valid, resp}
        One pulse for each request, in order and in a later cycle: the bus's response.
    """

    def __init__(self, *, address_bits: int) -> None:
        self.address_bits = address_bits
        super().__init__(
            {
                "request": Out(stream.Signature(record_request(address_bits))),
                "answer": In(data.StructLayout({"valid": 1, "resp": Response})),
            }
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RecordClientSignature) and other.address_bits == self.address_bits

    def __repr__(self) -> str:
        return f"RecordClientSignature(address_bits={self.address_bits})"
