"""The port between a mover's channel and the scratchpad's crossbar."""

from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import MemoryConfig

__all__ = ["MemoryPortSignature", "memory_request", "memory_response", "memory_target"]


def memory_request(memory: MemoryConfig) -> data.StructLayout:
    """One word access: ``bank``, ``row`` in the bank, ``write``; and ``data`` and byte ``strobe``,
    which count with ``write`` only."""
    return data.StructLayout(
        {
            "bank": range(memory.banks),
            "row": range(memory.rows),
            "write": 1,
            "data": memory.bank_bits,
            "strobe": memory.word_bytes,
        }
    )


def memory_target(memory: MemoryConfig) -> data.StructLayout:
    """Whether there will be a request, and for which bank: ``valid``, ``bank``."""
    return data.StructLayout({"valid": 1, "bank": range(memory.banks)})


def memory_response(memory: MemoryConfig) -> data.StructLayout:
    """The word read: ``data`` counts in the cycle in which ``valid`` is set."""
    return data.StructLayout({"valid": 1, "data": memory.bank_bits})


class MemoryPortSignature(wiring.Signature):
    """A requester's view of the scratchpad.

    A request is granted when ``req.valid`` and ``req.ready`` meet; until then it holds. A granted
    read answers on ``rsp`` exactly ``memory.latency`` cycles later, in order and without
    back-pressure: the requester keeps room for what it asks. A granted write gives no response.
    The class of the requester (high priority or not) is a parameter of its crossbar port.

    ``following``, only with ``memory.looks_ahead``: ``valid`` and ``bank`` of the request that the
    next cycle shows if this cycle's is granted, or shows none. Otherwise it does not count.

    ``urgent``, only with ``memory.fill_priority``: the requester would soon stand still. It says so
    of the present, whatever request it offers.
    """

    def __init__(self, memory: MemoryConfig) -> None:
        self.memory = memory
        members = {
            "req": Out(stream.Signature(memory_request(memory))),
            "rsp": In(memory_response(memory)),
        }
        if memory.looks_ahead:
            members["following"] = Out(memory_target(memory))
        if memory.fill_priority:
            members["urgent"] = Out(1)
        super().__init__(members)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, MemoryPortSignature) and other.memory == self.memory

    def __repr__(self) -> str:
        return f"MemoryPortSignature({self.memory!r})"
