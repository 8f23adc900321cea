"""A program in device memory: rung, waited for, and asked what became of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..hw.bus.opcodes import (
    PROGRAM_ALIGNMENT,
    STOP_TEXT,
    Opcode,
    StopCode,
    completion_record,
)
from ..hw.bus.registers import SEQUENCER_BIT
from ..hw.config import RECORD_BYTES
from .allocator import Allocator
from .errors import AllocationError, DeviceTimeout, ProgramStopped
from .program import DEFAULT_TIMEOUT, Program

__all__ = ["Completion", "LoadedProgram"]

HEAD = max(PROGRAM_ALIGNMENT, RECORD_BYTES) // 8
"""Words before the program: the record's place."""


@dataclass(frozen=True, kw_only=True)
class Completion:
    """How a program ended.

    Parameters
    ----------
    done
        It came to its END.
    code, op
        Why it stopped, and at which instruction.
    position
        Word at which it stopped.
    cycles
        From the doorbell to the end.
    """

    done: bool
    code: StopCode
    op: str
    position: int
    cycles: int


class LoadedProgram:
    """Words in device memory, behind the place of their completion record.

    Parameters
    ----------
    program
        The tasks of a device with a sequencer.
    allocator
        Of its memory.
    words
        Of 64 bits, the END included.

    Raises
    ------
    AllocationError
        There is no room for them.
    """

    def __init__(
        self, program: Program, allocator: Allocator, words: npt.NDArray[np.uint64]
    ) -> None:
        self._program = program
        self._allocator = allocator
        try:
            self._memory = allocator.allocate((HEAD + len(words),), "<u8")
        except AllocationError as error:
            raise AllocationError(f"a program of {len(words)} words: {error}") from None
        self._memory[HEAD:] = words
        self._rung = False

    def free(self) -> None:
        """Give the memory back.

        A program that nobody has seen end may run: its memory is given back with the soft reset
        that stops it.
        """
        if self._rung:
            self._allocator.leave(self._memory)
        else:
            self._allocator.free(self._memory)

    def ring(self, arguments: Sequence[int] = ()) -> None:
        """Start it with these argument registers; what it finds in memory is the caller's care."""
        registers = self._program.registers
        self._memory[:HEAD] = 0
        for index, value in enumerate(arguments):
            registers.write_wide("sequencer", f"ARG{index}", value)
        registers.write_wide("sequencer", "RECORD", self._memory.device_address)
        self._rung = True
        registers.write_wide("sequencer", "DOORBELL", self._memory.device_address + 8 * HEAD)

    def wait(self, timeout: int = DEFAULT_TIMEOUT) -> Completion:
        """Return when it has come to its end.

        Raises
        ------
        DeviceError, LockError
            A mover or a lock failed, which stopped it if it had not ended.
        ProgramStopped
            It stopped for a reason of its own.
        DeviceTimeout
            From one look to the next, `timeout` cycles later, it got no further: says where it is.
        """
        program, registers = self._program, self._program.registers
        transport, bit = registers.transport, 1 << SEQUENCER_BIT
        position, deadline = 0, transport.cycles + timeout
        while registers.fields("sequencer", "STATUS")["busy"]:
            left = deadline - transport.cycles
            if left <= 0:
                before, position = position, registers.read("sequencer", "POSITION")
                if position == before:
                    raise DeviceTimeout(
                        f"the program is at word {position} after {timeout} cycles; "
                        f"{program.describe()}"
                    )
                deadline = transport.cycles + timeout
                continue
            # What is cleared here is not lost: whoever waits for a task reads how many retired.
            if transport.wait_interrupt(left):
                registers.write("system", "IRQ_DONE", registers.read("system", "IRQ_DONE"))
        self._rung = False
        for name in ("IRQ_DONE", "IRQ_FAULT"):
            registers.write("system", name, bit)
        found = self.completion()
        # A fault may also come after the program's END, which does not wait for tasks.
        program.check()
        if not found.done:
            raise ProgramStopped(found.position, found.op, STOP_TEXT[found.code])
        return found

    def completion(self) -> Completion:
        """What became of the last run, by the registers."""
        registers = self._program.registers
        status = registers.fields("sequencer", "STATUS")
        return Completion(
            done=bool(status["done"]),
            code=StopCode(status["code"]),
            op=_opcode(status["op"]),
            position=registers.read("sequencer", "POSITION"),
            cycles=registers.read_wide("sequencer", "CYCLES"),
        )

    def record(self) -> dict[str, int]:
        """The completion record in memory, by the names of its fields; zeros before the end."""
        layout = completion_record()
        view = layout.from_bits(int.from_bytes(self._memory.tobytes()[:RECORD_BYTES], "little"))
        return {name: view[name] for name, _ in layout}


def _opcode(value: int) -> str:
    known = value in {op.value for op in Opcode}
    return Opcode(value).name if known else f"opcode {value}"
