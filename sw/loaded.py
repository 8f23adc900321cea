"""A runtime sequence in device memory, for the device to play."""

from __future__ import annotations

from collections.abc import Sequence

from .allocator import Allocator
from .commands import Command, Push, Wait, WriteDescriptor
from .compiled import CompiledSequence
from .doorbell import Completion, LoadedProgram
from .errors import DeviceTimeout, ProgramStopped
from .player import note
from .program import DEFAULT_TIMEOUT, Program

__all__ = ["LoadedSequence"]


class LoadedSequence:
    """Commands as a program of the sequencer, which any number of runs play.

    Parameters
    ----------
    program
        The tasks of the device; what a run does is written down there.
    allocator
        Of the device's memory.
    commands
        What the program does.

    Attributes
    ----------
    commands : tuple of :data:`~weft.sw.commands.Command`
    compiled : :class:`~weft.sw.compiled.CompiledSequence`
    program : :class:`~weft.sw.doorbell.LoadedProgram`

    Raises
    ------
    ConfigError, ProgramWordError, DescriptorError
        As :meth:`CompiledSequence.compile`.
    AllocationError
        There is no room for it.
    """

    def __init__(self, program: Program, allocator: Allocator, commands: Sequence[Command]) -> None:
        self._tasks = program
        self.commands = tuple(commands)
        self.compiled = CompiledSequence.compile(program.config, commands)
        self.program = LoadedProgram(program, allocator, self.compiled.words)

    def free(self) -> None:
        """As :meth:`LoadedProgram.free`."""
        self.program.free()

    def run(self, arguments: Sequence[int] = (), timeout: int = DEFAULT_TIMEOUT) -> Completion:
        """Ring, and return when the last command is done.

        Parameters
        ----------
        arguments
            Device address of each argument.
        timeout
            Cycles for every single wait.

        Raises
        ------
        DeviceError, LockError, ProgramStopped, DeviceTimeout
            As :meth:`LoadedProgram.wait`; what has run up to there is not known to the host, so
            that only a soft reset makes the movers usable again.
        """
        self._settle(timeout)
        self.program.ring(arguments)
        note(self._tasks, self.commands, arguments)
        try:
            return self.program.wait(timeout)
        except (ProgramStopped, DeviceTimeout) as error:
            index = self.compiled.command_at(self.program.completion().position)
            if index is not None:
                error.add_note(f"that is command {index}, {self.commands[index]}")
            raise

    def _settle(self, timeout: int) -> None:
        """Let the tasks before it retire: those that do later would count for its waits."""
        for mover in {_mover(command): None for command in self.commands}:
            if mover is not None and self._tasks.ledger(mover).pending:
                self._tasks.wait(mover, self._tasks.pushed(mover), timeout)


def _mover(command: Command) -> str | None:
    """Whom the command speaks of."""
    match command:
        case Wait():
            return command.token.mover
        case Push() | WriteDescriptor():
            return command.mover
        case _:
            return None
