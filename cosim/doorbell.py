"""A program rung by registers and known by its completion record, as any host would do it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from weft.hw.bus.opcodes import completion_record
from weft.hw.bus.registers import SEQUENCER_BIT
from weft.hw.config import RECORD_BYTES
from weft.sw.device import Device

__all__ = ["Doorbell"]

TIMEOUT = 50_000


class Doorbell:
    """A program in device memory with the place of its record.

    Parameters
    ----------
    device
        With a sequencer.
    words
        Of 64 bits, the END included.
    """

    def __init__(self, device: Device, words: Sequence[int]) -> None:
        self._device = device
        self._words = device.allocate(len(words), np.dtype("<u8"))
        self._words[:] = [int(word) for word in words]
        self._record = device.allocate(RECORD_BYTES, np.uint8)

    def ring(self, *arguments: int) -> None:
        """Start it with these argument registers."""
        registers = self._device.registers
        self._record[:] = 0
        for index, value in enumerate(arguments):
            registers.write_wide("sequencer", f"ARG{index}", value)
        registers.write_wide("sequencer", "RECORD", self._record.device_address)
        registers.write_wide("sequencer", "DOORBELL", self._words.device_address)

    def wait(self) -> Any:
        """The record in memory, when the sequencer's interrupt has come; it is cleared."""
        registers, bit = self._device.registers, 1 << SEQUENCER_BIT
        deadline = self._device.transport.cycles + TIMEOUT
        while not (done := registers.read("system", "IRQ_DONE")) & bit:
            assert self._device.transport.cycles < deadline, "the program does not end"
            registers.write("system", "IRQ_DONE", done)
            self._device.transport.wait_interrupt(TIMEOUT)
        registers.write("system", "IRQ_DONE", bit)
        record = completion_record().from_bits(int.from_bytes(bytes(self._record), "little"))
        status = registers.fields("sequencer", "STATUS")
        assert (status["busy"], status["code"]) == (0, record.code)
        assert status["error"] == (record.status == 2)
        assert record.position == registers.read("sequencer", "POSITION")
        return record
