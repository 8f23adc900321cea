"""Byte streams between DRAM and a contiguous piece of the scratchpad."""

from __future__ import annotations

from dataclasses import dataclass

from ..hw.config import AcceleratorConfig, MoverConfig
from .blocked import beat_bytes, contiguous
from .descriptor import BufferDescriptor
from .errors import MappingError
from .lower import coalesce, discard, lower
from .memref import MemRef
from .program import DEFAULT_TIMEOUT, Program

__all__ = [
    "DmaPair",
    "ScratchpadAddress",
    "Step",
    "Transfer",
    "recv_descriptors",
    "send_descriptors",
]


@dataclass(frozen=True)
class ScratchpadAddress:
    """A place in the scratchpad, in bytes of its linear address space (addressing mode 0)."""

    offset: int


@dataclass(frozen=True, kw_only=True)
class DmaPair:
    """A DRAM mover and the scratchpad mover that it is bound to."""

    dram: MoverConfig
    scratchpad: MoverConfig

    @classmethod
    def find(cls, config: AcceleratorConfig, kind: str) -> DmaPair:
        """The pair whose DRAM mover is of `kind` (``mm2s`` or ``s2mm``).

        Raises
        ------
        MappingError
            The configuration has none.
        """
        for mover in config.movers:
            if mover.kind == kind:
                return cls(dram=mover, scratchpad=config.mover(mover.bind))
        raise MappingError(f"configuration {config.name} has no {kind} mover")


Step = tuple[str, BufferDescriptor]
"""A mover and what it is to do."""


def send_descriptors(
    config: AcceleratorConfig, pair: DmaPair, source: MemRef, target: ScratchpadAddress
) -> list[Step]:
    """The tasks of a send: (mover, descriptor) in the order in which they are pushed.

    The source's last beat may be a part of one; the scratchpad mover writes no byte beyond it, but
    the whole beat must lie in the scratchpad.
    """
    walk = contiguous(config.memory, pair.scratchpad, base=target.offset, length=source.nbytes)
    return [(pair.dram.name, lower(pair.dram, source)), (pair.scratchpad.name, walk)]


def recv_descriptors(
    config: AcceleratorConfig, pair: DmaPair, source: ScratchpadAddress, target: MemRef
) -> list[Step]:
    """The tasks of a receive.

    The scratchpad mover gives whole beats; the DRAM mover drops what follows the target's last
    byte: by a longer, clipped run if the target is one run, else by a second task.
    """
    walk = contiguous(config.memory, pair.scratchpad, base=source.offset, length=target.nbytes)
    steps = [(pair.scratchpad.name, walk)]
    rest = -target.nbytes % beat_bytes(config.memory, pair.scratchpad)
    _, loops = coalesce(target)
    if rest and loops:
        steps.append((pair.dram.name, lower(pair.dram, target)))
        steps.append((pair.dram.name, discard(pair.dram, target.first_address, rest)))
    else:
        steps.append((pair.dram.name, lower(pair.dram, target, drop=rest)))
    return steps


class Transfer:
    """A transfer under way.

    Parameters
    ----------
    program
        It was pushed through.
    mover, token
        The task whose retirement ends it.
    """

    def __init__(self, program: Program, mover: str, token: int) -> None:
        self._program = program
        self.mover = mover
        self.token = token

    def wait(self, timeout: int = DEFAULT_TIMEOUT) -> None:
        """Return when the last byte has arrived; errors as :meth:`Program.wait`."""
        self._program.wait(self.mover, self.token, timeout)
