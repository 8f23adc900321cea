"""What became of each task, as the device wrote it to memory."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..hw.bus.fault import FaultCode
from ..hw.bus.record import RING_BYTES, RING_PLACES, TaskStatus, task_record
from ..hw.config import RECORD_BYTES
from .allocator import ALIGNMENT, Allocator
from .errors import MappingError, RecordError
from .registers import Registers

__all__ = ["CompletionRecord", "RecordRings"]


@dataclass(frozen=True, kw_only=True)
class CompletionRecord:
    """How a task ended.

    Parameters
    ----------
    token
        Of the task.
    done
        It had no fault.
    code, descriptor, address
        First fault of its earliest execution with one: cause, BD slot and address. Without one: the
        slot of its last execution.
    nbytes
        What all of its executions have moved, as :class:`~weft.sw.abort.Stopped` counts it; an
        ``s2mm`` counts what it consumed of a failed source (UPSTREAM), too.
    result
        What the stream operator found in its last execution, if that was asked for: a CRC, or what
        :func:`~weft.sw.operators.first_difference` understands.
    spoilt
        A fault spoilt bytes that `result` is of.
    """

    token: int
    done: bool
    code: FaultCode
    descriptor: int
    address: int
    nbytes: int
    result: int | None
    spoilt: bool


class RecordRings:
    """The places of the records of a device's movers.

    Parameters
    ----------
    registers
        Of the device.
    allocator
        Of its memory.
    """

    def __init__(self, registers: Registers, allocator: Allocator) -> None:
        self._registers = registers
        self._allocator = allocator
        self._rings: dict[str, tuple[int, npt.NDArray[np.uint8]]] = {}

    def enable(self, mover: str) -> None:
        """Give `mover`, which is idle, a ring; errors as `Device.enable_records`."""
        page = self._registers.map.page(mover)
        if all(register.name != "RECORDS_LOW" for register in page.registers):
            name = self._registers.map.config.name
            raise MappingError(f"enable_records: {mover} of {name} writes none (dma.records)")
        if mover in self._rings:
            return
        room = self._allocator.allocate((RING_BYTES + RING_BYTES - ALIGNMENT,), "u1")
        first = -room.device_address % RING_BYTES
        self._rings[mover] = room.device_address + first, room[first : first + RING_BYTES]
        self._program(mover)

    def restore(self) -> None:
        """After a reset: no task has ended, and the device is told its rings anew."""
        for mover, (_, ring) in self._rings.items():
            ring[:] = 0
            self._program(mover)

    def require(self, mover: str) -> None:
        """As :meth:`~weft.sw.device.Device.require_records`."""
        if mover not in self._rings:
            raise RecordError(f"{mover} has no records: Device.enable_records gives it some")

    def read(self, mover: str, token: int) -> CompletionRecord:
        """As :meth:`~weft.sw.device.Device.record`."""
        self.require(mover)
        first = token % RING_PLACES * RECORD_BYTES
        _, ring = self._rings[mover]
        content = ring[first : first + RECORD_BYTES].tobytes()
        found = task_record().from_bits(int.from_bytes(content, "little"))
        if found.status == 0 or found.token != token:
            holds = f"that of task {found.token}" if found.status else "none"
            raise RecordError(
                f"{mover} has no record of task {token}: its place {token % RING_PLACES} of "
                f"{RING_PLACES} holds {holds}"
            )
        return CompletionRecord(
            token=token,
            done=found.status == TaskStatus.DONE,
            code=FaultCode(found.code),
            descriptor=found.descriptor,
            address=found.fault_address,
            nbytes=found.bytes,
            result=found.result if found.has_result else None,
            spoilt=bool(found.result_error),
        )

    def _program(self, mover: str) -> None:
        address, _ = self._rings[mover]
        page = self._registers.map.page(mover)
        if any(register.name == "RECORDS_HIGH" for register in page.registers):
            self._registers.write(mover, "RECORDS_HIGH", address >> 32)
        self._registers.write(mover, "RECORDS_LOW", address & 0xFFFF_FFFF)
