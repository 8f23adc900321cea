"""The engine without a compiler: Amaranth's own simulator, stepped by the host's calls."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import ExitStack
from typing import Any, TextIO

import numpy as np
from amaranth.hdl import Cat, Fragment, Mux
from amaranth.sim import Simulator

from weft.hw.bus.axi import Response
from weft.hw.config import AcceleratorConfig
from weft.hw.errors import ConfigError
from weft.sw.transport import BusError

from .axi import AxiInputs
from .dram import DramModel, DramParameters
from .platform import SimulationPlatform
from .simulation import MEMORY_BASE, MEMORY_BYTES, Simulation, SimulationError
from .waveform import VcdWindow, Waveform

__all__ = ["AmaranthSimulation"]

PERIOD = 1e-8
ANSWER_CYCLES = 1_000
"""A register access without an answer for so long is an error of the design."""
REPORT_CYCLES = 32

_Command = Callable[[Any], Awaitable[Any]]


class AmaranthSimulation(Simulation):
    """The design in Amaranth's simulator, the DRAM beside it as :class:`DramModel`.

    The DRAM takes part as a process on the clock edge, so that its outputs change together with
    the design's registers; the host's accesses start a quarter period after an edge, within the
    cycle. An exception of the model, or Ctrl-C, surfaces from the host's call; after it every call
    raises :class:`SimulationError`, and :meth:`close` still completes the waveform.

    Parameters
    ----------
    config
        The system to build.
    memory_bytes, memory_base
        Size and device address of the DRAM, multiples of 4096.
    dram
        Its timing and faults.
    waveform
        What to write of the signals, in VCD (about four times slower), or None.
    observed
        Record changes of the design's ``trace``, for :meth:`observed`.
    progress
        Called with the number of cycles now and then while the clock runs.
    dut
        A component with the ports of :class:`weft.hw.top.Top` to run instead of it. Without
        ``m_axi_*`` ports the memory stays unconnected.
    """

    engine = "python"

    def __init__(
        self,
        config: AcceleratorConfig,
        *,
        memory_bytes: int = MEMORY_BYTES,
        memory_base: int = MEMORY_BASE,
        dram: DramParameters | None = None,
        waveform: Waveform | None = None,
        observed: bool = False,
        progress: Callable[[int], None] | None = None,
        dut: Any = None,
    ) -> None:
        started = time.perf_counter()
        self._waveform = ExitStack()
        file: TextIO | VcdWindow | None = None
        if waveform is not None:
            if waveform.format != "vcd":
                raise ConfigError("waveform.format", waveform.format, "needs the verilator engine")
            # A file that cannot be written is found out before the work, not after it.
            file = waveform.path.open("w")
            if not waveform.is_whole:
                file = VcdWindow(file, period=PERIOD, waveform=waveform)
            self._waveform.callback(file.close)
        if dut is None:
            from weft.hw.top import Top  # slow to import: only when it is what we run

            dut = Top(config, observed=observed)
        self._dut = dut
        self.memory = np.zeros(memory_bytes, np.uint8)
        self.memory_base = memory_base
        self._dram: DramModel | None = None
        if hasattr(dut, "m_axi_wdata"):
            self._dram = DramModel(
                memory=self.memory,
                base=memory_base,
                beat_bytes=len(dut.m_axi_wdata) // 8,
                parameters=dram or DramParameters(),
            )
        self._progress = progress
        self._cycles = 0
        self._run_seconds = 0.0
        self._model_seconds = 0.0
        self._command: _Command | None = None
        self._answer: Any = None
        self._failure = ""
        self._simulator = Simulator(Fragment.get(dut, SimulationPlatform()))
        self._simulator.add_clock(PERIOD)
        self._simulator.add_process(self._count if self._dram is None else self._serve_memory)
        self._simulator.add_process(self._serve_host)
        self._changes: list[tuple[int, int]] | None = None
        if observed:
            self._changes = []
            self._simulator.add_process(self._record)
        if file is not None:
            self._waveform.enter_context(self._simulator.write_vcd(file))
        self._build_seconds = time.perf_counter() - started

    @property
    def cycles(self) -> int:
        return self._cycles

    @property
    def evaluation_seconds(self) -> float:
        return self._run_seconds - self._model_seconds

    @property
    def build_seconds(self) -> float:
        return self._build_seconds

    @property
    def dram(self) -> DramModel | None:
        """The DRAM model, or None where the design has no AXI port."""
        return self._dram

    def read_register(self, address: int) -> int:
        self._check_address(address)
        response, value = self._access("read", address, lambda ctx: self._read(ctx, address))
        if response != Response.OKAY:
            raise BusError(address)
        return value

    def write_register(self, address: int, value: int) -> None:
        self._check_address(address)
        if not 0 <= value < 1 << 32:
            raise SimulationError(f"register {address:#x} = {value}: must fit 32 bits")
        response, _ = self._access("write", address, lambda ctx: self._write(ctx, address, value))
        if response != Response.OKAY:
            raise BusError(address)

    def wait_interrupt(self, timeout_cycles: int) -> bool:
        if timeout_cycles < 1:
            raise SimulationError(f"timeout_cycles = {timeout_cycles}: must be at least 1")
        return self._perform(lambda ctx: self._wait(ctx, timeout_cycles))

    def observed(self) -> Sequence[tuple[int, int]]:
        return super().observed() if self._changes is None else self._changes

    def close(self) -> None:
        self._failure = self._failure or "it is closed"
        self._waveform.close()

    def _check_address(self, address: int) -> None:
        """What the port's address cannot say, no interconnect would have routed to it."""
        if not 0 <= address < 1 << len(self._dut.s_axil_awaddr):
            raise BusError(address)

    def _access(self, kind: str, address: int, command: _Command) -> tuple[int, int]:
        """Response and value of a register access; an access without an answer is the end."""
        answer = self._perform(command)
        if answer is None:
            self._failure = f"no answer to a {kind} of register {address:#x}"
            raise SimulationError(self._failure)
        return answer

    def _perform(self, command: _Command) -> Any:
        """Run the clock until `command` is done; its answer."""
        if self._failure:
            raise SimulationError(f"the simulation cannot go on: {self._failure}")
        self._command = command
        reported = self._cycles
        started = time.perf_counter()
        try:
            while self._command is not None:
                self._simulator.advance()
                if self._progress is not None and self._cycles >= reported + REPORT_CYCLES:
                    reported = self._cycles
                    self._progress(reported)
        except BaseException as error:
            self._failure = str(error) or type(error).__name__
            raise
        finally:
            self._run_seconds += time.perf_counter() - started
        return self._answer

    async def _serve_host(self, ctx: Any) -> None:
        while True:
            # The clock runs only for a command, so here there is one.
            await ctx.delay(PERIOD / 4)
            assert self._command is not None
            self._answer = await self._command(ctx)
            self._command = None

    async def _read(self, ctx: Any, address: int) -> tuple[int, int] | None:
        dut = self._dut
        ctx.set(Cat(dut.s_axil_arvalid, dut.s_axil_rready, dut.s_axil_araddr), address << 2 | 0b11)
        ticks = ctx.tick().sample(
            dut.s_axil_arready, dut.s_axil_rvalid, dut.s_axil_rresp, dut.s_axil_rdata
        )
        for _ in range(ANSWER_CYCLES):
            _, _, accepted, answered, response, value = await ticks
            if accepted:
                ctx.set(dut.s_axil_arvalid, 0)
            if answered:
                ctx.set(dut.s_axil_rready, 0)
                return int(response), value
        return None

    async def _write(self, ctx: Any, address: int, value: int) -> tuple[int, int] | None:
        dut = self._dut
        ctx.set(Cat(dut.s_axil_awvalid, dut.s_axil_awaddr), address << 1 | 1)
        ctx.set(
            Cat(dut.s_axil_wvalid, dut.s_axil_bready, dut.s_axil_wstrb, dut.s_axil_wdata),
            value << 6 | 0b1111_11,
        )
        ticks = ctx.tick().sample(
            dut.s_axil_awready, dut.s_axil_wready, dut.s_axil_bvalid, dut.s_axil_bresp
        )
        for _ in range(ANSWER_CYCLES):
            _, _, address_accepted, data_accepted, answered, response = await ticks
            if address_accepted:
                ctx.set(dut.s_axil_awvalid, 0)
            if data_accepted:
                ctx.set(dut.s_axil_wvalid, 0)
            if answered:
                ctx.set(dut.s_axil_bready, 0)
                return int(response), value
        return None

    async def _wait(self, ctx: Any, timeout_cycles: int) -> bool:
        left = timeout_cycles
        async for _, _, interrupt in ctx.tick().sample(self._dut.irq):
            left -= 1
            if interrupt or not left:
                return bool(interrupt)
        raise AssertionError("the clock does not end")

    async def _count(self, ctx: Any) -> None:
        async for _ in ctx.tick():
            self._cycles += 1

    async def _record(self, ctx: Any) -> None:
        assert self._changes is not None
        cycle, shown = 0, None
        async for _, _, value in ctx.tick().sample(self._dut.trace):
            if value != shown:
                shown = value
                self._changes.append((cycle, value))
            cycle += 1

    async def _serve_memory(self, ctx: Any) -> None:
        """The DRAM: one step an edge. Signals cost time, so few are read and fewer are set."""
        dut, dram = self._dut, self._dram
        assert dram is not None
        inputs, outputs = AxiInputs(), dram.outputs
        strobe_bits, strobe_mask = dram.beat_bytes, (1 << dram.beat_bytes) - 1
        channels = [
            Cat(
                *(getattr(dut, f"m_axi_{name}{field}") for field in ("len", "size", "burst", "id")),
                getattr(dut, f"m_axi_{name}addr"),
            )
            for name in ("ar", "aw")
        ]
        data = Cat(dut.m_axi_wlast, dut.m_axi_wstrb, dut.m_axi_wdata)
        # The simulator evaluates only the chosen side of a Mux: wide signals are free while idle.
        ticks = ctx.tick().sample(
            dut.m_axi_rready,
            dut.m_axi_bready,
            dut.m_axi_arvalid,
            Mux(dut.m_axi_arvalid, channels[0], 0),
            dut.m_axi_awvalid,
            Mux(dut.m_axi_awvalid, channels[1], 0),
            dut.m_axi_wvalid,
            Mux(dut.m_axi_wvalid, data, 0),
        )
        control = Cat(
            dut.m_axi_arready,
            dut.m_axi_awready,
            dut.m_axi_wready,
            dut.m_axi_rvalid,
            dut.m_axi_rlast,
            dut.m_axi_bvalid,
            dut.m_axi_rresp,
            dut.m_axi_bresp,
            dut.m_axi_rid,
            dut.m_axi_bid,
        )
        id_bits = len(dut.m_axi_arid)
        id_mask, address_start = (1 << id_bits) - 1, 13 + id_bits
        control_shown = data_shown = 0
        async for _, _, rready, bready, arvalid, ar, awvalid, aw, wvalid, w in ticks:
            started = time.perf_counter()
            inputs.rready, inputs.bready = rready, bready
            inputs.arvalid, inputs.awvalid, inputs.wvalid = arvalid, awvalid, wvalid
            if arvalid:
                inputs.arlen, inputs.arsize, inputs.arburst = _burst_fields(ar)
                inputs.arid = ar >> 13 & id_mask
                inputs.araddr = ar >> address_start
            if awvalid:
                inputs.awlen, inputs.awsize, inputs.awburst = _burst_fields(aw)
                inputs.awid = aw >> 13 & id_mask
                inputs.awaddr = aw >> address_start
            if wvalid:
                inputs.wlast = w & 1
                inputs.wstrb = w >> 1 & strobe_mask
                inputs.wdata = w >> 1 + strobe_bits
            dram.step(inputs)
            packed = (
                outputs.arready
                | outputs.awready << 1
                | outputs.wready << 2
                | outputs.rvalid << 3
                | outputs.rlast << 4
                | outputs.bvalid << 5
                | outputs.rresp << 6
                | outputs.bresp << 8
                | outputs.rid << 10
                | outputs.bid << 10 + id_bits
            )
            if packed != control_shown:
                control_shown = packed
                ctx.set(control, packed)
            if outputs.rdata != data_shown:
                data_shown = outputs.rdata
                ctx.set(dut.m_axi_rdata, data_shown)
            self._cycles += 1
            self._model_seconds += time.perf_counter() - started


def _burst_fields(packed: int) -> tuple[int, int, int]:
    """(len, size, burst) from the low 13 bits of an address channel."""
    return packed & 0xFF, packed >> 8 & 7, packed >> 11 & 3
