"""The driver's transport over cocotbext-axi's ``AxiLiteMaster``."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from cocotb.simtime import get_sim_time
from cocotb.task import resume
from cocotb.triggers import First, RisingEdge, SimTimeoutError, Timer, with_timeout
from cocotbext.axi import AxiLiteMaster, AxiResp

from weft.sim.simulation import SimulationError
from weft.sw.errors import BusError

from .memory import DeviceMemory

__all__ = ["PERIOD", "MasterTransport"]

PERIOD = 10
"""Nanoseconds of a clock cycle."""
ANSWER_CYCLES = 2_000
"""After so many a register access has no answer."""
TEST_CYCLES = 200_000
"""After so many a test has come to nothing: several times the longest."""


class MasterTransport:
    """A :class:`~weft.sw.transport.Transport` for code that cocotb's ``bridge`` runs.

    The driver is not written for an event loop: it runs in a thread, of which the simulator waits
    for the end or for the next call of a method here. So host time stands still between calls.

    Parameters
    ----------
    dut
        The top, for its clock and interrupt.
    master
        Of the control registers.
    memory
        Of the device.
    """

    def __init__(self, dut: Any, master: AxiLiteMaster, memory: DeviceMemory) -> None:
        self._dut = dut
        self._master = master
        self._memory = memory
        self._end = self.cycles + TEST_CYCLES

    @property
    def memory(self) -> npt.NDArray[np.uint8]:
        return self._memory.data

    @property
    def memory_base(self) -> int:
        return self._memory.base

    @property
    def cycles(self) -> int:
        return int(get_sim_time("ns")) // PERIOD

    @resume
    async def read_register(self, address: int) -> int:
        answer = await self._answered(address, self._master.read(address, 4))
        return int.from_bytes(answer.data, "little")

    @resume
    async def write_register(self, address: int, value: int) -> None:
        await self._answered(address, self._master.write(address, value.to_bytes(4, "little")))

    @resume
    async def wait_interrupt(self, timeout_cycles: int) -> bool:
        if not self._dut.irq.value:
            left = self._end - self.cycles
            if left <= 0:
                raise SimulationError(f"no end after {TEST_CYCLES} cycles")
            cycles = min(timeout_cycles, left)
            await First(RisingEdge(self._dut.irq), Timer(cycles * PERIOD, "ns"))
        return bool(self._dut.irq.value)

    async def _answered(self, address: int, access: Any) -> Any:
        try:
            answer = await with_timeout(access, ANSWER_CYCLES * PERIOD, "ns")
        except SimTimeoutError:
            raise SimulationError(f"no answer to an access at {address:#x}") from None
        if answer.resp != AxiResp.OKAY:
            raise BusError(address)
        return answer
