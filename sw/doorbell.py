"""A program in device memory: rung, waited for, and asked what became of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..hw.bus.opcodes import RECORD_BYTES, STOP_TEXT, Opcode, StopCode, completion_record
from ..hw.bus.registers import SEQUENCER_BIT
from .device import Device
from .errors import DeviceTimeout, ProgramStopped
from .program import DEFAULT_TIMEOUT

__all__ = ["Completion", "LoadedProgram"]


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
    """Words in device memory, with room for their completion record.

    Parameters
    ----------
    device
        With a sequencer.
    words
        Of 64 bits, the END included.
    """

    def __init__(self, device: Device, words: npt.NDArray[np.uint64]) -> None:
        self._device = device
        self._words = device.allocate(len(words), np.dtype("<u8"))
        self._words[:] = words
        self._record = device.allocate(RECORD_BYTES, np.uint8)

    def free(self) -> None:
        """Give the memory back; the program must not run."""
        self._device.free(self._words)
        self._device.free(self._record)

    def ring(self, arguments: Sequence[int] = ()) -> None:
        """Start it with these argument registers; what it finds in memory is the caller's care."""
        registers = self._device.registers
        self._record[:] = 0
        for index, value in enumerate(arguments):
            registers.write_wide("sequencer", f"ARG{index}", value)
        registers.write_wide("sequencer", "RECORD", self._record.device_address)
        registers.write_wide("sequencer", "DOORBELL", self._words.device_address)

    def wait(self, timeout: int = DEFAULT_TIMEOUT) -> Completion:
        """Return when it has come to its end.

        Raises
        ------
        DeviceError, LockError
            A mover or a lock failed, which stopped it if it had not ended.
        ProgramStopped
            It stopped for a reason of its own.
        DeviceTimeout
            `timeout` cycles went by: says where it is.
        """
        device, transport = self._device, self._device.transport
        registers, bit = device.registers, 1 << SEQUENCER_BIT
        deadline = transport.cycles + timeout
        while registers.fields("sequencer", "STATUS")["busy"]:
            left = deadline - transport.cycles
            if left <= 0:
                position = registers.read("sequencer", "POSITION")
                raise DeviceTimeout(
                    f"the program is at word {position} after {timeout} cycles; "
                    f"{device.program.describe()}"
                )
            # What is cleared here is not lost: whoever waits for a task reads how many retired.
            if transport.wait_interrupt(left):
                registers.write("system", "IRQ_DONE", registers.read("system", "IRQ_DONE"))
        for name in ("IRQ_DONE", "IRQ_FAULT"):
            registers.write("system", name, bit)
        found = self.completion()
        # A fault may also come after the program's END, which does not wait for tasks.
        device.program.check()
        if not found.done:
            raise ProgramStopped(found.position, found.op, STOP_TEXT[found.code])
        return found

    def completion(self) -> Completion:
        """What became of the last run, by the registers."""
        registers = self._device.registers
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
        view = layout.from_bits(int.from_bytes(self._record.tobytes(), "little"))
        return {name: view[name] for name, _ in layout}


def _opcode(value: int) -> str:
    known = value in {op.value for op in Opcode}
    return Opcode(value).name if known else f"opcode {value}"
