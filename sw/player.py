"""Plays a runtime sequence over the register bus, command by command."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from .commands import Command, Push, Wait, WriteDescriptor
from .descriptor import BufferDescriptor
from .lock_bank import LockBank
from .locks import Acquire, Release, SetLock
from .program import DEFAULT_TIMEOUT, Program

__all__ = ["note", "play"]


def play(
    program: Program,
    commands: Sequence[Command],
    *,
    arguments: Sequence[int] = (),
    timeout: int = DEFAULT_TIMEOUT,
) -> None:
    """Do what `commands` say, and return when the last one is done.

    Parameters
    ----------
    program
        Of the device.
    arguments
        Device address of each argument.
    timeout
        Cycles for every single wait.

    Raises
    ------
    DeviceError, LockError, DeviceTimeout
        As :meth:`Program.wait`.
    """
    locks = LockBank(program)
    start = {mover.name: program.pushed(mover.name) for mover in program.config.movers}
    for command in commands:
        match command:
            case WriteDescriptor():
                program.write(command.mover, command.slot, _bound(command, arguments))
            case Push():
                base = command.base
                if base is not None and command.argument is not None:
                    base += arguments[command.argument]
                program.wait_queue(command.mover, timeout)
                program.push(
                    command.mover,
                    command.slot,
                    command.repeat,
                    command.issue_token,
                    command.label,
                    base=base,
                )
            case Wait():
                token = start[command.token.mover] + command.token.count
                program.wait(command.token.mover, token % (1 << 32), timeout)
            case Acquire():
                locks.acquire(command, timeout)
            case Release():
                locks.release(command)
            case SetLock():
                locks.set(command)


def note(program: Program, commands: Sequence[Command], arguments: Sequence[int]) -> None:
    """Write down in `program` that somebody else does what `commands` say, all of it."""
    for command in commands:
        if isinstance(command, WriteDescriptor):
            walk = _bound(command, arguments)
            words = program.encode(command.mover, walk)
            program.ledger(command.mover).note_write(command.slot, words, walk)
        elif isinstance(command, Push):
            program.note_push(command.mover, command.slot, command.issue_token, command.label)


def _bound(command: WriteDescriptor, arguments: Sequence[int]) -> BufferDescriptor:
    """The descriptor with its argument's address."""
    walk = command.descriptor
    if command.argument is None:
        return walk
    return replace(walk, base=walk.base + arguments[command.argument])
