"""The engine for long runs: the emitted Verilog, compiled, with clock and DRAM in C++."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from weft.hw.bus.axi import Response
from weft.sw.transport import BusError

from ..axi import AxiChecker, AxiInputs, AxiOutputs, Channel
from ..dram import DramParameters, check_memory
from ..simulation import MEMORY_BASE, MEMORY_BYTES, Simulation, SimulationError
from ..waveform import VcdWindow, Waveform
from .build import ModelSource, Report, build_model, find_toolchain
from .library import Address, Beat, Protocol, State, describe_dram, load
from .toolchain import Toolchain

__all__ = ["VerilatorSimulation"]

PERIOD = 1e-8
CHUNK_CYCLES = 20_000
"""Cycles between two looks at Ctrl-C: a fraction of a second."""
FOREVER = (1 << 64) - 1


class VerilatorSimulation(Simulation):
    """The design compiled by Verilator: same calls, same cycles, same bytes as in Amaranth's.

    The first simulation of a design compiles it, which takes from half a minute to two; later ones
    load the library from the cache (:mod:`~weft.sim.verilator.cache`). A failure of the design or
    the model and Ctrl-C surface from the host's call, and after it every call raises
    :class:`SimulationError`; :meth:`close` still completes the waveform. Instances are independent,
    and one may run while another thread runs another.

    Parameters
    ----------
    source
        The design.
    memory_bytes, memory_base
        Size and device address of the DRAM, multiples of 4096.
    dram
        Its timing and faults.
    waveform
        What to write of the signals, or None. A design has a model of its own for each format.
    observed
        Record changes of the design's ``trace``, for :meth:`observed`.
    progress
        Called with the number of cycles now and then while the clock runs.
    report
        Called with what is being built, if anything is.
    toolchain
        What builds it, if it is not what :meth:`Toolchain.find` finds.
    """

    engine = "verilator"

    def __init__(
        self,
        source: ModelSource,
        *,
        memory_bytes: int = MEMORY_BYTES,
        memory_base: int = MEMORY_BASE,
        dram: DramParameters | None = None,
        waveform: Waveform | None = None,
        observed: bool = False,
        progress: Callable[[int], None] | None = None,
        report: Report = lambda text: None,
        toolchain: Toolchain | None = None,
    ) -> None:
        started = time.perf_counter()
        self._handle: int | None = None
        self._failure = ""
        self._progress = progress
        self._waveform = waveform
        self._observes = observed
        self.memory = np.zeros(memory_bytes, np.uint8)
        self.memory_base = memory_base
        check_memory(base=memory_base, size=memory_bytes)
        if waveform is not None:
            # A file that cannot be written is found out before the work, not after it.
            waveform.path.touch()
        model = build_model(
            source,
            toolchain or find_toolchain(),
            waveform=None if waveform is None else waveform.format,
            report=report,
        )
        if observed and not model.observation_bits:
            raise SimulationError(f"{source.name} has no output to observe")
        self._model = model
        self._library = load(model.library)
        parameters = describe_dram(dram or DramParameters(), base=memory_base, size=memory_bytes)
        self._handle = self._library.weft_create(parameters, self.memory.ctypes.data)
        self._status = self._library.weft_status(self._handle).contents
        self._library.weft_observe(self._handle, observed)
        if waveform is not None:
            self._open(waveform)
        self._build_seconds = time.perf_counter() - started

    @property
    def cycles(self) -> int:
        return int(self._status.cycles)

    @property
    def evaluation_seconds(self) -> float:
        """As of the base; an estimate from every sixteenth cycle."""
        status = self._status
        if not status.sampled_nanoseconds:
            return 0.0
        share = status.evaluation_nanoseconds / status.sampled_nanoseconds
        return float(status.nanoseconds * share / 1e9)

    @property
    def build_seconds(self) -> float:
        return self._build_seconds

    def read_register(self, address: int) -> int:
        self._check_address(address)
        self._perform("read", address)
        if self._status.response != Response.OKAY:
            raise BusError(address)
        return int(self._status.value)

    def write_register(self, address: int, value: int) -> None:
        self._check_address(address)
        if not 0 <= value < 1 << 32:
            raise SimulationError(f"register {address:#x} = {value}: must fit 32 bits")
        self._perform("write", address, value)
        if self._status.response != Response.OKAY:
            raise BusError(address)

    def wait_interrupt(self, timeout_cycles: int) -> bool:
        if timeout_cycles < 1:
            raise SimulationError(f"timeout_cycles = {timeout_cycles}: must be at least 1")
        self._perform("wait", min(timeout_cycles, FOREVER))
        return bool(self._status.value)

    def observed(self) -> Sequence[tuple[int, int]]:
        if not self._observes:
            return super().observed()
        if self._handle is None:
            return self._observed
        cycles = ctypes.POINTER(ctypes.c_uint64)()
        words = ctypes.POINTER(ctypes.c_uint32)()
        count = self._library.weft_observed(self._handle, cycles, words)
        if not count:
            return []
        size = -(-self._model.observation_bits // 32)
        values = np.ctypeslib.as_array(words, (count, size)).astype("<u4")
        return [
            (cycle, int.from_bytes(value.tobytes(), "little"))
            for cycle, value in zip(cycles[:count], values, strict=True)
        ]

    def close(self) -> None:
        if self._handle is None:
            return
        self._failure = self._failure or "it is closed"
        self._observed = self.observed() if self._observes else []
        self._library.weft_close_waveform(self._handle)
        # The status is the instance's own: a copy outlives it.
        self._status = type(self._status).from_buffer_copy(self._status)
        self._library.weft_destroy(self._handle)
        self._handle = None
        if self._waveform is not None and self._waveform.last is not None:
            self._join_parts(self._waveform, self._waveform.last)

    def __del__(self) -> None:
        if getattr(self, "_handle", None) is not None:
            self.close()

    def _check_address(self, address: int) -> None:
        """What the port's address cannot say, no interconnect would have routed to it."""
        if not 0 <= address < 1 << self._model.address_bits:
            raise BusError(address)

    def _perform(self, command: str, *arguments: int) -> None:
        """Run the clock until `command` is done."""
        if self._failure:
            raise SimulationError(f"the simulation cannot go on: {self._failure}")
        library, status = self._library, self._status
        getattr(library, f"weft_{command}")(self._handle, *arguments)
        try:
            while State.READING <= status.state <= State.WAITING:
                library.weft_run(self._handle, CHUNK_CYCLES)
                if self._progress is not None:
                    self._progress(status.cycles)
            if status.state == State.SILENT:
                raise SimulationError(f"no answer to a {command} of register {arguments[0]:#x}")
            if status.state == State.FAILED:
                raise SimulationError(status.message.decode(errors="replace"))
            if status.state == State.BROKEN:
                self._explain(status.cycles, status.protocol)
        except BaseException as error:
            self._failure = str(error) or type(error).__name__
            raise

    def _explain(self, cycle: int, protocol: Protocol) -> None:
        """Raise what is broken: the rules are worded in one place."""
        checker = AxiChecker(beat_bytes=self._model.beat_bytes)
        for channel, is_held, fields in zip(
            (Channel.AR, Channel.AW, Channel.W),
            protocol.held,
            (
                _address(protocol.held_ar),
                _address(protocol.held_aw),
                _beat(protocol.held_w),
            ),
            strict=True,
        ):
            checker.held[channel] = fields if is_held else None
        # Whose ID a burst under way has plays no part in the rules for W.
        checker.writing.append([0, protocol.beats_left])
        arid, araddr, arlen, arsize, arburst = _address(protocol.ar)
        awid, awaddr, awlen, awsize, awburst = _address(protocol.aw)
        wdata, wstrb, wlast = _beat(protocol.w)
        inputs = AxiInputs(
            arvalid=protocol.ar.valid,
            arid=arid,
            araddr=araddr,
            arlen=arlen,
            arsize=arsize,
            arburst=arburst,
            awvalid=protocol.aw.valid,
            awid=awid,
            awaddr=awaddr,
            awlen=awlen,
            awsize=awsize,
            awburst=awburst,
            wvalid=protocol.w.valid,
            wdata=wdata,
            wstrb=wstrb,
            wlast=wlast,
        )
        outputs = AxiOutputs(
            arready=protocol.ar.ready, awready=protocol.aw.ready, wready=protocol.w.ready
        )
        checker.check(cycle, inputs, outputs)
        raise AssertionError("both engines keep the same rules")

    def _open(self, waveform: Waveform) -> None:
        text = ctypes.create_string_buffer(512)
        refused = self._library.weft_open_waveform(
            self._handle,
            str(waveform.path).encode(),
            waveform.first,
            FOREVER if waveform.end is None else waveform.end,
            waveform.last or 0,
            text,
            len(text),
        )
        if refused:
            raise SimulationError(text.value.decode(errors="replace"))

    def _join_parts(self, waveform: Waveform, last: int) -> None:
        """One file of the last cycles from the two parts, of which one is complete."""
        parts = [Path(f"{waveform.path}.{part}") for part in (0, 1)]
        if self.cycles // last % 2 == 0:
            parts.reverse()
        window = Waveform(path=waveform.path, first=max(0, self.cycles - last))
        with waveform.path.open("w") as file:
            joined = VcdWindow(file, period=PERIOD, waveform=window)
            in_first = True
            for part in (part for part in parts if part.exists()):
                with part.open() as lines:
                    in_header = not in_first
                    for line in lines:
                        if not in_header:
                            joined.write(line)
                        elif "$enddefinitions" in line:
                            in_header = False
                in_first = False
            joined.close()
        for part in parts:
            part.unlink(missing_ok=True)


def _address(channel: Address) -> tuple[int, int, int, int, int]:
    return channel.id, channel.address, channel.length, channel.size, channel.burst


def _beat(channel: Beat) -> tuple[int, int, int]:
    data, strobe = (
        int.from_bytes(bytes(field), "little") for field in (channel.data, channel.strobe)
    )
    return data, strobe, channel.last
