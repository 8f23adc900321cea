"""The design between the models, and tests that the driver's thread runs against it."""

from __future__ import annotations

import functools
import random
from collections.abc import Callable, Iterator
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.task import bridge, resume
from cocotb.triggers import ClockCycles
from cocotbext.axi import AxiBus, AxiLiteBus, AxiLiteMaster, AxiRam, AxiResp

from weft.sw.device import Device

from .memory import DeviceMemory
from .system import CONFIG, MEMORY_BASE, MEMORY_BYTES
from .transport import PERIOD, MasterTransport

__all__ = ["Bench", "cosimulated"]

RESET_CYCLES = 4
WEATHER = (0.0, 0.3, 0.6, 0.9)
"""Chances of a pause that take turns, so that bursts of both kinds meet on different channels."""


class Bench:
    """The design with its memory, the master of its registers and pauses on every channel.

    Parameters
    ----------
    dut
        The top.
    seed
        Of the pauses; None for none.

    Attributes
    ----------
    memory : :class:`~cosim.memory.DeviceMemory`
        What ``ram`` serves.
    master : ``AxiLiteMaster``
    ram : ``AxiRam``
    transport : :class:`~cosim.transport.MasterTransport`
    """

    def __init__(self, dut: Any, *, seed: int | None) -> None:
        self._dut = dut
        self.memory = DeviceMemory(base=MEMORY_BASE, size=MEMORY_BYTES)
        self.master = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "s_axil"), dut.clk, dut.rst)
        self.ram = AxiRam(AxiBus.from_prefix(dut, "m_axi"), dut.clk, dut.rst, mem=self.memory)
        self.transport = MasterTransport(dut, self.master, self.memory)
        if seed is not None:
            for number, channel in enumerate(self._channels()):
                channel.set_pause_generator(_pauses(random.Random(f"{seed}/{number}")))

    def _channels(self) -> Iterator[Any]:
        for model in (self.master, self.ram):
            for half, names in ((model.write_if, "aw w b"), (model.read_if, "ar r")):
                for name in names.split():
                    yield getattr(half, f"{name}_channel")

    def open(self) -> Device:
        """The driver's device; for a test's own thread."""
        return Device(self.transport, CONFIG)

    def refuse(self, addresses: range, response: AxiResp) -> None:
        """Have the memory answer beats in `addresses` with `response`."""
        self.memory.refused = addresses
        for channel, field in (
            (self.ram.read_if.r_channel, "rresp"),
            (self.ram.write_if.b_channel, "bresp"),
        ):
            channel.send = functools.partial(_send, type(channel).send, channel, field, response)

    async def reset(self) -> None:
        """Hold the design's reset, and with it the models'."""
        self._dut.rst.value = 1
        await ClockCycles(self._dut.clk, RESET_CYCLES)
        self._dut.rst.value = 0
        await ClockCycles(self._dut.clk, 1)

    @resume
    async def reset_now(self) -> None:
        """As `reset`, for a test's own thread."""
        await self.reset()


async def _send(send: Any, channel: Any, field: str, response: AxiResp, beat: Any) -> None:
    """``AxiRam`` knows one error response: another may go in its place."""
    if getattr(beat, field) == AxiResp.SLVERR:
        setattr(beat, field, response)
    await send(channel, beat)


def _pauses(draws: random.Random) -> Iterator[bool]:
    while True:
        chance = draws.choice(WEATHER)
        for _ in range(draws.randint(1, 60)):
            yield draws.random() < chance


def cosimulated(*seeds: int | None) -> Callable[[Callable[..., None]], Any]:
    """Make a test of a function that takes a :class:`Bench` and the seed: one for each of `seeds`.

    The design and the models are fresh from reset; the function runs in a thread of its own.
    """

    def decorate(test: Callable[..., None]) -> Any:
        async def run(dut: Any, seed: int | None) -> None:
            Clock(dut.clk, PERIOD, "ns").start()
            bench = Bench(dut, seed=seed)
            await bench.reset()
            await bridge(test)(bench, seed)

        run.__name__ = run.__qualname__ = test.__name__
        run.__module__, run.__doc__ = test.__module__, test.__doc__
        return cocotb.test(cocotb.parametrize(seed=list(seeds))(run))

    return decorate
