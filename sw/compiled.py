"""A runtime sequence as a program that the device fetches for itself."""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..hw.bus.registers import DESCRIPTOR_STORE, SLOT_BYTES
from ..hw.config import AcceleratorConfig
from ..hw.mover.descriptor import Descriptor
from .commands import Command, Push, Wait, WriteDescriptor
from .locks import Acquire, Release, SetLock
from .words import ProgramWords

__all__ = ["CompiledSequence"]

BASE_WORD = 3
"""Where the base stands in a BD."""


@dataclass(frozen=True, kw_only=True)
class CompiledSequence:
    """Words, and where each command begins in them.

    Parameters
    ----------
    words
        Of 64 bits, the END included.
    positions
        Index of each command's first word.
    """

    words: npt.NDArray[np.uint64]
    positions: tuple[int, ...]

    def command_at(self, position: int) -> int | None:
        """The command that word `position` belongs to; None for the END."""
        index = bisect.bisect_right(self.positions, position) - 1
        ended = position >= len(self.words) - 1
        return None if index < 0 or ended else index

    @classmethod
    def compile(cls, config: AcceleratorConfig, commands: Sequence[Command]) -> CompiledSequence:
        """Encode `commands`. A slot that is written again gets only the words that differ.

        Raises
        ------
        ConfigError
            The system has no sequencer.
        ProgramWordError, DescriptorError
            A command that no instruction can carry.
        """
        program = ProgramWords(config)
        known: dict[tuple[str, int], list[int]] = {}
        positions = []
        for command in commands:
            positions.append(program.position)
            match command:
                case WriteDescriptor():
                    _write(config, program, command, known)
                case Push(base=None):
                    program.push(command.mover, command.slot, command.repeat, command.issue_token)
                case Push(base=int(base)):
                    program.push_at(
                        command.mover,
                        command.slot,
                        base,
                        command.repeat,
                        command.issue_token,
                        command.argument,
                    )
                case Wait():
                    program.wait(command.token.mover, command.token.count)
                case Acquire():
                    program.acquire(command.lock.index, command.value, command.equal)
                case Release():
                    program.release(command.lock.index, command.delta)
                case SetLock():
                    program.set_lock(command.lock.index, command.value)
        program.end()
        words = np.array(program.words, dtype="<u8")
        return cls(words=words, positions=tuple(positions))


def _write(
    config: AcceleratorConfig,
    program: ProgramWords,
    command: WriteDescriptor,
    known: dict[tuple[str, int], list[int]],
) -> None:
    """The block write of the words that differ from those that the program has written before."""
    mover, slot, walk = command.mover, command.slot, command.descriptor
    words = walk.encode(Descriptor(config, config.mover(mover)))
    before = known.pop((mover, slot), None)
    changed = list(range(len(words)))
    if before is not None:
        changed = [index for index in changed if words[index] != before[index]]
    if changed:
        first, last = changed[0], changed[-1]
        offset = DESCRIPTOR_STORE + slot * SLOT_BYTES
        program.block_write(mover, offset + 4 * first, words[first : last + 1])
    # The state of an iteration, and a base that an argument gives, are not what was written.
    if command.argument is None and walk.iteration_size < 2:
        known[mover, slot] = words
    if command.argument is not None:
        offset = DESCRIPTOR_STORE + slot * SLOT_BYTES + 4 * BASE_WORD
        program.argument(mover, offset, command.argument, walk.base)
