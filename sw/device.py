"""The device as its user sees it: memory, transfers, products, errors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from ..hw.bus.registers import IDENTITY
from ..hw.config import AcceleratorConfig
from ..hw.errors import WeftError
from .abort import Stopped, abort
from .allocator import Allocator, DeviceArray
from .compare import compare_steps
from .descriptor import BufferDescriptor
from .diagnosis import MoverState
from .errors import DeviceMismatchError, DeviceTimeout, MappingError, NotDeviceMemory
from .lock_bank import LockBank
from .memref import MemRef
from .operators import first_difference
from .program import DEFAULT_TIMEOUT, Program
from .quantization import Quantization
from .records import CompletionRecord, RecordRings
from .registers import Registers
from .run_array import ArrayReport, ArrayRunner
from .run_conv import conv_runner
from .run_gemm import gemm_runner
from .statistics import Statistics
from .transfer import (
    DmaPair,
    ScratchpadAddress,
    Step,
    Transfer,
    by_rows,
    recv_steps,
    send_steps,
)
from .transport import Transport
from .windows import window_registers

__all__ = ["MODES", "Device", "Operand"]

RESET_POLLS = 10_000

MODES = ("sg", "row", "naive")
"""How `Device.send` and `Device.recv` bring a view over."""

Operand = MemRef | npt.NDArray[Any]


class Device:
    """An accelerator behind a transport.

    Opening it checks that it is weft and that it is the configuration given, before anything else
    is touched; then it is reset, its counters are zeroed and its interrupts unmasked.

    Parameters
    ----------
    transport
        Carries register accesses, memory and the interrupt.
    config
        What the device was built from.

    Attributes
    ----------
    registers : :class:`~weft.sw.registers.Registers`
    program : :class:`~weft.sw.program.Program`
        The movers, for those who write descriptors themselves.
    allocator : :class:`~weft.sw.allocator.Allocator`
        Of the device's memory.
    stats : :class:`Statistics`

    Raises
    ------
    DeviceMismatchError
        The device is something else or of another configuration.
    """

    def __init__(self, transport: Transport, config: AcceleratorConfig) -> None:
        self.transport = transport
        self.config = config
        self.registers = Registers(transport, config)
        self._identify()
        self.program = Program(self.registers, config)
        self.stats = Statistics()
        self._windows: dict[str, dict[str, int]] = {}
        self._fill_priority = config.memory.fill_priority
        self.allocator = Allocator(transport.memory, transport.memory_base)
        self._records = RecordRings(self.registers, self.allocator)
        self.reset()

    def _identify(self) -> None:
        identity = self.registers.read("system", "IDENTITY")
        if identity != IDENTITY:
            raise DeviceMismatchError(f"identity register reads {identity:#010x}, not 'WEFT'")
        found, wanted = self.registers.read("system", "CONFIG_HASH"), int(self.config.hash[:8], 16)
        if found != wanted:
            raise DeviceMismatchError(
                f"the device was built from configuration {found:08x}, the driver was given "
                f"{self.config.name} ({wanted:08x})"
            )

    def reset(self) -> None:
        """Soft reset: forget every task, fault and descriptor; memory and scratchpad keep theirs.

        Raises
        ------
        DeviceTimeout
            The bus does not drain.
        """
        self.registers.write_fields("system", "CONTROL", reset=1)
        for _ in range(RESET_POLLS):
            if not self.registers.fields("system", "STATUS")["resetting"]:
                break
        else:
            raise DeviceTimeout("a soft reset waits for the bus to drain, and it does not")
        self.program.forget()
        self.allocator.collect()
        for name in ("IRQ_DONE", "IRQ_FAULT", "IRQ_DONE_MASK", "IRQ_FAULT_MASK"):
            every = self.registers.map.page("system").register(name).fields
            self.registers.write("system", name, sum(1 << bit.low for bit in every))
        self.clear_counters()
        for mover, values in self._windows.items():
            self._write_windows(mover, values)
        if self.config.memory.fill_priority:
            self.set_fill_priority(self._fill_priority)
        self._records.restore()

    def enable_records(self, *movers: str) -> None:
        """Give `movers`, which are idle, places for the records of their tasks.

        From here on, resets included, a task of theirs writes one if the BD that ends it has
        ``record``: the last of its chain, or one that the hardware refuses. The last 64 are kept.

        Raises
        ------
        MappingError
            This hardware writes none.
        AllocationError
            There is no room.
        """
        for mover in movers:
            self._records.enable(mover)

    def record(self, mover: str, token: int) -> CompletionRecord:
        """How the mover's task `token`, which has retired, ended.

        Raises
        ------
        RecordError
            It was not recorded, or is overwritten.
        """
        return self._records.read(mover, token)

    def require_records(self, mover: str) -> None:
        """Raise `RecordError` where `mover` was given no places for records."""
        self._records.require(mover)

    def compare(
        self,
        first: Operand | ScratchpadAddress,
        second: Operand | ScratchpadAddress,
        nbytes: int | None = None,
        timeout: int = DEFAULT_TIMEOUT,
    ) -> int | None:
        """Offset of the first byte in which two pieces of device memory differ; None: in none.

        The device compares them, each in the order of its walk; where one is shorter they differ at
        its end. `nbytes` is said, in whole beats, of two places in the scratchpad. The mover that
        compares is given records unless it has them, for which it must be idle.

        Raises
        ------
        NotDeviceMemory, MappingError, DescriptorError, AllocationError, SequenceError
            Nothing was pushed; see :func:`~weft.sw.compare.compare_steps`.
        QueueFullError
            There is no room for it.
        DeviceError, DeviceTimeout
            As `wait`.
        """
        places = [
            place if isinstance(place, ScratchpadAddress) else self._operand(name, place)
            for name, place in (("first", first), ("second", second))
        ]
        steps, comparer = compare_steps(self.config, places[0], places[1], nbytes)
        self.enable_records(comparer)
        token = self.program.submit(sorted(steps, key=lambda step: step[0] == comparer))
        read = sum(place.nbytes for place in places if isinstance(place, MemRef))
        self.stats.add(calls=1, descriptors=len(steps), read=read, written=0)
        self.wait(comparer, token, timeout)
        return first_difference(self.record(comparer, token))

    def confine(self, mover: str, pieces: Sequence[tuple[int, int]]) -> None:
        """Let a DRAM mover touch nothing but `pieces`; a burst outside is a fault and is not made.

        It holds from here on, resets included; the mover must be idle.

        Parameters
        ----------
        pieces
            Address and length in bytes of each, whole pages of 4 KiB. Without any, everything is
            allowed.

        Raises
        ------
        MappingError
            The mover has no windows or too few, or a piece is not whole pages of its address space.
        """
        values = window_registers(self.config, mover, pieces)
        self._windows[mover] = values
        self._write_windows(mover, values)

    def _write_windows(self, mover: str, values: dict[str, int]) -> None:
        for name, value in values.items():
            self.registers.write(mover, name, value)

    def abort(self, *movers: str) -> dict[str, Stopped]:
        """End every task of `movers` (of all, if none is named); how far each came, by name.

        The others go on. The two ends of a stream are aborted in one call: beats between them are
        gone then, and what either has of them. An end that is left alone waits, in mid-BD, for a
        new task of the other or for its own abort. A lock that an ended execution had acquired is
        not given back (`locks` may), and nothing of it is released. BD slots keep what they hold,
        and iterations begin anew. When all of the array's movers are aborted together, it is reset.
        A program that waits for a task that was ended waits for ever: it is left by a reset.

        Raises
        ------
        DeviceTimeout
            They do not become idle.
        """
        return abort(self.program, movers or [mover.name for mover in self.config.movers])

    def allocate(self, shape: int | tuple[int, ...], dtype: npt.DTypeLike) -> DeviceArray:
        """A zeroed array in device memory; raises `AllocationError` when there is no room."""
        return self.allocator.allocate((shape,) if isinstance(shape, int) else shape, dtype)

    def free(self, array: npt.NDArray[Any]) -> None:
        """Give back an array from `allocate`; raises `AllocationError` for any other."""
        self.allocator.free(array)

    @property
    def buffers(self) -> list[tuple[int, int]]:
        """Device address and length in bytes of every allocated array."""
        return self.allocator.buffers

    def view(self, operand: Operand) -> npt.NDArray[Any]:
        """`operand` as an ndarray over the same memory; errors as `send`'s, for a MemRef."""
        if not isinstance(operand, MemRef):
            return np.asanyarray(operand)
        ref = self._operand("operand", operand)
        return np.ndarray(
            shape=ref.sizes,
            dtype=ref.dtype,
            buffer=self.transport.memory,
            offset=ref.first_address - self.transport.memory_base,
            strides=[stride * ref.itemsize for stride in ref.strides],
        )

    def scratchpad(self, offset: int) -> ScratchpadAddress:
        """Byte `offset` of the scratchpad.

        Raises
        ------
        MappingError
            It lies outside, or inside a word.
        """
        memory = self.config.memory
        if not 0 <= offset < memory.bytes or offset % memory.word_bytes:
            raise MappingError(
                f"scratchpad offset {offset}: must be a multiple of {memory.word_bytes} "
                f"below {memory.bytes}"
            )
        return ScratchpadAddress(offset)

    def clear_counters(self) -> None:
        """Zero the time, the array's counters and every mover's."""
        self.registers.write_fields("system", "CONTROL", clear_counters=1)

    def counters(self) -> dict[str, dict[str, int]]:
        """For each mover: active, starved, blocked and conflict cycles, and accesses."""
        names = ("active", "starved", "blocked", "conflict", "accesses")
        return {
            mover.name: {name: self.registers.read(mover.name, name.upper()) for name in names}
            for mover in self.config.movers
        }

    def bank_conflicts(self) -> list[int]:
        """For each bank: cycles in which a request for it was not granted.

        Empty where the system was built without ``memory.bank_counters``.
        """
        memory = self.config.memory
        banks = range(memory.banks if memory.bank_counters else 0)
        return [self.registers.read("system", f"BANK_CONFLICT_{bank}") for bank in banks]

    def set_fill_priority(self, on: bool) -> None:
        """Whether the emptiest readers and the fullest writers go first at the banks.

        They do where the system was built with ``memory.fill_priority``, until they are told not
        to; placements are chosen as if they did.

        Raises
        ------
        RegisterError
            The system was built without ``memory.fill_priority``.
        """
        self.registers.write_fields("system", "ARBITRATION", fill_priority=int(on))
        self._fill_priority = on

    def array_counters(self) -> dict[str, int]:
        """The system's counters: cycles, span_first, span_last and, with an array, array_*."""
        page = self.registers.map.page("system")
        return {
            register.name.lower(): self.registers.read("system", register.name)
            for register in page.registers
            if register.name.startswith(("CYCLES", "SPAN_", "ARRAY_"))
        }

    def diagnose(self) -> list[MoverState]:
        """Print a line a mover, what it does and why it waits, and return what was printed."""
        states = self.program.diagnose()
        for state in states:
            print(state)
        return states

    @property
    def locks(self) -> LockBank:
        """The locks, for the host."""
        return LockBank(self.program)

    def write_descriptor(self, mover: str, slot: int, descriptor: BufferDescriptor) -> None:
        """As :meth:`Program.write`."""
        self.program.write(mover, slot, descriptor)

    def push(self, mover: str, slot: int, repeat: int = 1, interrupt: bool = False) -> int:
        """As :meth:`Program.push`: the token of the task."""
        return self.program.push(mover, slot, repeat, interrupt)

    def wait(self, mover: str, retired_target: int, timeout: int = DEFAULT_TIMEOUT) -> None:
        """As :meth:`Program.wait`."""
        self.program.wait(mover, retired_target, timeout)

    def send(self, source: Operand, *, to: ScratchpadAddress, mode: str = "sg") -> Transfer:
        """Begin to move `source`, in the order of its walk, to the scratchpad, densely.

        Parameters
        ----------
        mode
            ``sg``: one call, whose descriptors walk the view. ``row``: a call for each contiguous
            run (a whole number of words). ``naive``: the host gathers the view in a contiguous
            staging buffer, which is one call; `source` may be any memory then.

        Raises
        ------
        NotDeviceMemory, MappingError, DescriptorError, AllocationError
            Nothing was pushed.
        QueueFullError
            There is no room for it; with several calls, it waits for room instead.
        DeviceError, DeviceTimeout
            As `wait`, where it waits for room.
        """
        _check_mode(mode)
        pair = DmaPair.find(self.config, "mm2s")
        if mode == "naive":
            elements = self.view(source)
            staging = self.allocate(elements.shape, elements.dtype)
            staging[...] = elements
            return self._staged(staging, partial(self.send, staging, to=to))
        ref = self._operand("source", source)
        parts = [(ref, to)] if mode == "sg" else by_rows(self.config, ref, to)
        calls = [send_steps(self.config, pair, part, place) for part, place in parts]
        return self._transfer(calls, ref, read=True)

    def recv(self, target: Operand, *, from_: ScratchpadAddress, mode: str = "sg") -> Transfer:
        """Begin to move bytes from the scratchpad to `target`, in the order of its walk.

        Modes and errors as `send`'s; in mode ``naive`` the transfer's `wait` scatters what came.
        """
        _check_mode(mode)
        pair = DmaPair.find(self.config, "s2mm")
        if mode == "naive":
            elements = self.view(target)
            staging = self.allocate(elements.shape, elements.dtype)
            return self._staged(staging, partial(self.recv, staging, from_=from_), elements)
        ref = self._operand("target", target)
        parts = [(ref, from_)] if mode == "sg" else by_rows(self.config, ref, from_)
        calls = [recv_steps(self.config, pair, place, part) for part, place in parts]
        return self._transfer(calls, ref, read=False)

    def gemm(
        self,
        a: Operand,
        b: Operand,
        out: Operand | tuple[Operand | None, Operand | None],
        c: Operand | None = None,
        timeout: int = DEFAULT_TIMEOUT,
        quantization: Quantization | None = None,
    ) -> ArrayReport:
        """``out = a @ b (+ c)``: int8 operands, int32 result modulo 2**32, any M, N, K >= 1.

        With a `quantization` the operands may have zero points, and `out` is what it makes of the
        sum, int8. It may also be a pair then, of the int32 sum and its int8, in one pass; one of
        them may be None.

        Matrices lie in device memory, row-major with any distance between rows; `c` may be `out`.
        `a` and `b` may lie transposed (``x.T`` of a row-major x) where their movers have the
        extension ``transposer``: that costs no copy and no cycle. `c` may be a vector, which is
        added to every row, where its mover has the extension ``broadcaster`` and a channel enable.
        The product is compiled and run: by the sequencer, as one program that the device memory
        must have room for as well, or over the register bus where there is none. `timeout` is in
        cycles, for every single wait.

        Raises
        ------
        NotDeviceMemory, MappingError, DescriptorError, AllocationError
            Before anything is pushed.
        DeviceError, DeviceTimeout
            As :meth:`wait`; `reset` makes the device usable again.
        """
        d, e = self._results(out, quantization)
        runner = partial(
            gemm_runner,
            self.config,
            a=self._operand("a", a),
            b=self._operand("b", b),
            c=None if c is None else self._operand("c", c),
            d=d,
            e=e,
        )
        return self._product(runner, e, quantization, timeout)

    def conv(
        self,
        image: Operand,
        weights: Operand,
        out: Operand | tuple[Operand | None, Operand | None],
        stride: int | Sequence[int] = 1,
        pad: int | Sequence[int | Sequence[int]] = 0,
        dilation: int | Sequence[int] = 1,
        bias: Operand | None = None,
        timeout: int = DEFAULT_TIMEOUT,
        quantization: Quantization | None = None,
    ) -> ArrayReport:
        """``out = conv(image, weights) (+ bias)``, a convolution of one image without a copy of it.

        Element (y, x, k) of `out` is the sum over r, s and c of ``image[y * stride + r * dilation -
        pad, x * stride + s * dilation - pad, c] * weights[r, s, c, k]``, modulo 2**32, where pixels
        outside the image are zero. With a `quantization`, image (as a) and weights (as b) may have
        zero points, of which that of the image stands outside it.

        Parameters
        ----------
        image
            int8 [row][column][channel], any distance between rows and pixels.
        weights
            int8 [row][column][channel][filter].
        out
            int32 [row][column][filter]. With a `quantization` what it makes of the sum, filter by
            filter, int8; or both, as of :meth:`gemm`.
        stride, dilation
            One number, or one for rows and one for columns.
        pad
            The same; each may be a pair, before and after.
        bias
            int32, one a filter, or of the shape of `out`, which it may be. One a filter is loaded
            once a tile where C's mover has a broadcaster and channel enable, else for every pixel.
        timeout
            In cycles, for every single wait.

        Raises
        ------
        NotDeviceMemory, MappingError, DescriptorError, AllocationError
            Before anything is pushed.
        DeviceError, DeviceTimeout
            As :meth:`wait`; `reset` makes the device usable again.
        """
        d, e = self._results(out, quantization)
        runner = partial(
            conv_runner,
            self.config,
            image=self._operand("image", image),
            weights=self._operand("weights", weights),
            d=d,
            e=e,
            c=None if bias is None else self._operand("bias", bias),
            stride=stride,
            pad=pad,
            dilation=dilation,
        )
        return self._product(runner, e, quantization, timeout)

    def _product(
        self,
        runner: Callable[..., ArrayRunner],
        e: MemRef | None,
        quantization: Quantization | None,
        timeout: int,
    ) -> ArrayReport:
        """Run what `runner` makes, told of zero points and where E's parameters are, if any."""
        if quantization is not None:
            zeros = (quantization.zero_a, quantization.zero_b)
            runner = partial(runner, zero_points=zeros)
        if quantization is None or e is None:
            return self._run(runner(), timeout)
        packed = quantization.packed(e.sizes[-1])
        parameters = self.allocate((1, packed.size), np.uint8)
        parameters[0] = packed.reshape(-1)
        try:
            told = runner(parameters=MemRef.from_numpy(parameters))
        except WeftError:
            self.free(parameters)
            raise
        try:
            report = self._run(told, timeout)
        except BaseException:
            # A product that did not come to its end may still read them.
            self.allocator.leave(parameters)
            raise
        self.free(parameters)
        return report

    def _run(self, runner: ArrayRunner, timeout: int) -> ArrayReport:
        report = runner.run(self.program, self.allocator, timeout)
        self.stats.add(
            calls=report.dma_calls,
            descriptors=report.dma_bds,
            read=report.bytes_read,
            written=report.bytes_written,
        )
        return report

    def _results(
        self,
        out: Operand | tuple[Operand | None, Operand | None],
        quantization: Quantization | None,
    ) -> tuple[MemRef | None, MemRef | None]:
        """Where the int32 and the int8 results of a product go."""
        if not isinstance(out, tuple):
            ref = self._operand("out", out)
            return (ref, None) if quantization is None else (None, ref)
        if len(out) != 2 or (out[0] is None and out[1] is None) or quantization is None:
            raise MappingError(
                "out is a tuple: must be the int32 and the int8 result, of which one may be None, "
                "and needs a quantization"
            )
        d, e = (
            None if each is None else self._operand(f"out[{index}]", each)
            for index, each in enumerate(out)
        )
        return d, e

    def _operand(self, name: str, operand: Operand) -> MemRef:
        """A view that lies in this device's memory."""
        ref = operand if isinstance(operand, MemRef) else MemRef.from_numpy(np.asanyarray(operand))
        if ref.argument is not None:
            raise NotDeviceMemory(
                f"{name} is argument {ref.argument} of a sequence, not memory yet"
            )
        base, size = self.transport.memory_base, self.transport.memory.size
        low, high = ref.extent
        if not (base <= low and high <= base + size):
            raise NotDeviceMemory(
                f"{name} covers {low:#x} to {high:#x}; the device's memory is {base:#x} to "
                f"{base + size:#x}"
            )
        return ref

    def _staged(
        self,
        staging: DeviceArray,
        begin: Callable[[], Transfer],
        target: npt.NDArray[Any] | None = None,
    ) -> Transfer:
        """A transfer of a staging buffer; at its end the buffer is copied to `target` and freed."""
        try:
            transfer = begin()
        except WeftError:
            self.free(staging)
            raise
        self.stats.host_copies += 1

        def finish() -> None:
            if target is not None:
                target[...] = staging
            self.free(staging)

        return transfer.then(finish)

    def _transfer(self, calls: list[list[Step]], ref: MemRef, *, read: bool) -> Transfer:
        submit = self.program.submit
        token = submit(calls[0]) if len(calls) == 1 else self.program.feed(calls)
        descriptors = sum(len(steps) for steps in calls)
        self.stats.add(
            calls=len(calls),
            descriptors=descriptors,
            read=ref.nbytes * read,
            written=ref.nbytes * (not read),
        )
        return Transfer(self.program, calls[-1][-1][0], token)


def _check_mode(mode: str) -> None:
    if mode not in MODES:
        raise MappingError(f"mode = {mode!r}: must be one of {', '.join(MODES)}")
