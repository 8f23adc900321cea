"""Byte streams between DRAM and a contiguous piece of the scratchpad."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Self

from ..hw.config import SWITCH, AcceleratorConfig, MoverConfig
from .blocked import beat_bytes, contiguous
from .descriptor import BufferDescriptor
from .errors import MappingError
from .lower import coalesce, discard, lower, lower_run, runs, slices
from .memref import MemRef
from .program import DEFAULT_TIMEOUT, Program

__all__ = [
    "DmaPair",
    "ScratchpadAddress",
    "Step",
    "Transfer",
    "by_rows",
    "joined",
    "recv_steps",
    "send_steps",
]


@dataclass(frozen=True)
class ScratchpadAddress:
    """A place in the scratchpad, in bytes of its linear address space (addressing mode 0)."""

    offset: int


@dataclass(frozen=True, kw_only=True)
class DmaPair:
    """A DRAM mover, and the scratchpad mover at the other end of its stream."""

    dram: MoverConfig
    scratchpad: MoverConfig

    @classmethod
    def find(cls, config: AcceleratorConfig, kind: str) -> DmaPair:
        """The first pair whose DRAM mover is of `kind` (``mm2s`` or ``s2mm``).

        Raises
        ------
        MappingError
            The configuration has none.
        """
        for mover in config.movers:
            if mover.kind != kind:
                continue
            if mover.bind != SWITCH:
                return cls(dram=mover, scratchpad=config.mover(mover.bind))
            for end in map(config.mover, config.switch_ends(mover)):
                if end.is_scratchpad and end.is_source != mover.is_source:
                    return cls(dram=mover, scratchpad=end)
        raise MappingError(f"configuration {config.name} has no {kind} mover to the scratchpad")

    def at_dram(self, descriptor: BufferDescriptor) -> Step:
        """What the DRAM mover is to do."""
        return self.dram.name, joined(descriptor, self.dram, self.scratchpad)

    def at_scratchpad(self, descriptor: BufferDescriptor) -> Step:
        """What the scratchpad mover is to do."""
        return self.scratchpad.name, joined(descriptor, self.scratchpad, self.dram)


Step = tuple[str, BufferDescriptor]
"""A mover and what it is to do."""


def joined(
    descriptor: BufferDescriptor, mover: MoverConfig, other: MoverConfig
) -> BufferDescriptor:
    """`descriptor` of `mover` with `other` at the other end of its stream."""
    return replace(descriptor, route=(other.name,)) if mover.bind == SWITCH else descriptor


def send_steps(
    config: AcceleratorConfig, pair: DmaPair, source: MemRef, target: ScratchpadAddress
) -> list[Step]:
    """The tasks of a send: one a mover, or one a mover and slice where a view takes several.

    The stream's last beat may be short, and then only its bytes are written; but for the checks
    the whole beat must lie in the scratchpad.

    Raises
    ------
    MappingError
        The walk cannot be lowered, or only in slices that are not whole words.
    """
    steps, offset = [], target.offset
    for part in slices(pair.dram, source, granule=config.memory.word_bytes):
        walk = contiguous(config.memory, pair.scratchpad, base=offset, length=part.nbytes)
        steps += [pair.at_dram(lower(pair.dram, part)), pair.at_scratchpad(walk)]
        offset += part.nbytes
    return steps


def recv_steps(
    config: AcceleratorConfig, pair: DmaPair, source: ScratchpadAddress, target: MemRef
) -> list[Step]:
    """The tasks of a receive; raises as `send_steps`.

    The scratchpad mover gives whole beats; the DRAM mover drops what follows the target's last
    byte: by a longer, clipped run if the target is one run, else by a second task.
    """
    steps, offset = [], source.offset
    for part in slices(pair.dram, target, granule=config.memory.word_bytes):
        walk = contiguous(config.memory, pair.scratchpad, base=offset, length=part.nbytes)
        steps.append(pair.at_scratchpad(walk))
        rest = -part.nbytes % beat_bytes(config.memory, pair.scratchpad)
        _, loops = coalesce(part)
        if rest and not loops:
            steps.append(pair.at_dram(lower_run(pair.dram, part, drop=rest)))
        else:
            steps.append(pair.at_dram(lower(pair.dram, part)))
            if rest:
                steps.append(pair.at_dram(discard(pair.dram, part.first_address, rest)))
        offset += part.nbytes
    return steps


def by_rows(
    config: AcceleratorConfig, ref: MemRef, place: ScratchpadAddress
) -> list[tuple[MemRef, ScratchpadAddress]]:
    """The contiguous runs of `ref`, each with the part of the scratchpad that it goes to.

    Raises
    ------
    MappingError
        Runs that are not whole words, so that one would begin inside a word of the scratchpad; or
        too many.
    """
    parts, offset, word = [], place.offset, config.memory.word_bytes
    for run in runs(ref):
        if offset % word:
            raise MappingError(
                f"runs of {run.nbytes} bytes are not whole words of {word}: they cannot be moved "
                "one by one to where a single transfer puts them"
            )
        parts.append((run, ScratchpadAddress(offset)))
        offset += run.nbytes
    return parts


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
        self._finish: Callable[[], None] | None = None

    def then(self, finish: Callable[[], None]) -> Self:
        """Have the first `wait` that succeeds call `finish`; the transfer itself."""
        self._finish = finish
        return self

    def wait(self, timeout: int = DEFAULT_TIMEOUT) -> None:
        """Return when the last byte has arrived; errors as :meth:`Program.wait`."""
        self._program.wait(self.mover, self.token, timeout)
        finish, self._finish = self._finish, None
        if finish is not None:
            finish()
