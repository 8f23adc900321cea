"""The sequencer of the functional model: plays a program between the movers' steps."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np

from ...hw.bus.axi import Response
from ...hw.bus.opcodes import PROGRAM_ALIGNMENT, StopCode, completion_record
from ...hw.bus.registers import PAGE_BYTES, RegisterMap
from ...hw.config import RECORD_BYTES, AcceleratorConfig
from ...sw.errors import BusError
from .sequencer import Effect, Player, Step
from .tasks import ModelDram

__all__ = ["Machine", "ModelSequencer"]

WORD = 1 << 32


class Machine(Protocol):
    """What a program acts on."""

    dram: ModelDram
    cycles: int

    def read_register(self, address: int) -> int: ...

    def write_register(self, address: int, value: int) -> None: ...

    def retired(self) -> list[int]:
        """Each mover's RETIRED."""

    def perform(self, effect: Effect) -> bool:
        """Push, acquire, release or set; False if that has to wait."""

    def failed(self) -> tuple[int, int, int]:
        """FIRST_ERROR, and ERROR and FAULT of the mover that it names."""

    def ended(self, error: bool) -> None:
        """Raise the interrupt."""


class ModelSequencer:
    """One instruction of the program whenever it is asked to go on.

    Parameters
    ----------
    config
        A system with a sequencer.
    machine
        What its programs act on.

    Attributes
    ----------
    registers : dict of str to int
        The page.
    """

    def __init__(self, config: AcceleratorConfig, machine: Machine) -> None:
        self._config = config
        self._machine = machine
        self._page = RegisterMap(config).page("sequencer")
        self.registers = {register.name: 0 for register in self._page.registers}
        self._steps: Iterator[Step] | None = None
        self._waiting: list[Effect] = []

    def write(self, name: str, value: int) -> None:
        """A register of the page."""
        self.registers[name] = value
        if name == "DOORBELL_HIGH":
            self._ring()

    def go_on(self) -> bool:
        """Do the next instruction; False if it has to wait, or none is left."""
        if self._steps is None:
            return False
        if self._machine.failed()[0]:
            self._stop(StopCode.MOVER)
            return True
        if not self._waiting:
            self._at = next(self._steps)
            self.registers["POSITION"] = self._at.position
            self._waiting = [e for e in self._at.effects if e[0] not in ("read", "write")]
        while self._waiting:
            if not self._perform(self._waiting[0]):
                return False
            self._waiting.pop(0)
        if self._player.code is not None:
            self._stop(self._player.code)
        return True

    def _wide(self, name: str) -> int:
        return self.registers[f"{name}_HIGH"] << 32 | self.registers[f"{name}_LOW"]

    def _status(self, **fields: int) -> None:
        self.registers["STATUS"] = self._page.register("STATUS").pack(**fields)

    def _ring(self) -> None:
        if self._steps is not None:
            self._status(busy=1, refused=1)
            return
        assert self._config.sequencer is not None
        self._base, self._record = self._wide("DOORBELL"), self._wide("RECORD")
        self._began, self._before = self._machine.cycles, self._machine.retired()
        self._player = Player(
            self._fetch,
            _Pages(self._machine),
            arguments=[self._wide(f"ARG{i}") for i in range(self._config.sequencer.arguments)],
            movers=len(self._config.movers),
            locks=self._config.locks,
        )
        self._steps, self._at = self._player.steps(), Step(position=0, op=0)
        self._waiting = []
        self._status(busy=1)
        if self._record % RECORD_BYTES:
            self._record = 0
            self._stop(StopCode.RECORD_ADDRESS)
        elif self._base % PROGRAM_ALIGNMENT:
            self._stop(StopCode.PROGRAM_ADDRESS)

    def _fetch(self, position: int) -> tuple[int, Response]:
        dram, address = self._machine.dram, self._base + 8 * position
        if any(address in bad for bad in dram.read_errors):
            return 0, Response.SLVERR
        offset = address - dram.base
        if not 0 <= offset < dram.bytes.size:
            return 0, Response.DECERR
        return int.from_bytes(dram.bytes[offset : offset + 8].tobytes(), "little"), Response.OKAY

    def _perform(self, effect: Effect) -> bool:
        match effect:
            case ("wait", int(mover), int(count)):
                return (self._machine.retired()[mover] - self._before[mover]) % WORD >= count
            case _:
                return self._machine.perform(effect)

    def _stop(self, code: StopCode) -> None:
        self._steps = None
        machine, status = self._machine, 1 if code == StopCode.NONE else 2
        cycles = machine.cycles - self._began
        self.registers |= {"CYCLES_LOW": cycles % WORD, "CYCLES_HIGH": cycles // WORD}
        self._status(done=status == 1, error=status == 2, code=code, op=self._at.op)
        if self._record:
            first, fault, address = machine.failed()
            outcome = completion_record().const(
                {
                    "status": status,
                    "code": code,
                    "op": self._at.op,
                    "position": self._at.position,
                    "cycles": cycles,
                    "first_error": first,
                    "fault": fault,
                    "fault_address": address,
                }
            )
            start = self._record - machine.dram.base
            written = outcome.as_bits().to_bytes(RECORD_BYTES, "little")
            machine.dram.bytes[start : start + RECORD_BYTES] = np.frombuffer(written, np.uint8)
        machine.ended(status == 2)


class _Pages:
    """The register pages as a program meets them."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    def read(self, page: int, offset: int) -> int | None:
        try:
            return self._machine.read_register(page * PAGE_BYTES + offset)
        except BusError:
            return None

    def write(self, page: int, offset: int, value: int) -> bool:
        try:
            self._machine.write_register(page * PAGE_BYTES + offset, value)
        except BusError:
            return False
        return True
