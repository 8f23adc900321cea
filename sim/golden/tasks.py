"""What one execution of a buffer descriptor moves, from the definition: sums over index vectors."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from amaranth.hdl import Shape

from ...hw.bus.fault import FaultCode
from ...hw.config import ArrayConfig, MemoryConfig
from ...hw.gemm import array_operator, quantizer_parameters
from ...hw.mover.descriptor import Descriptor
from ...hw.registry import EXTENSIONS
from .agu import ALL, indices, marks, rows
from .gemm import matmul
from .quantizer import quantize

__all__ = ["Beat", "Fault", "ModelArray", "ModelDram", "ModelScratchpad", "Walk", "decode"]

Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Fault:
    """Why, and at which address."""

    code: FaultCode
    address: int = 0


@dataclass(frozen=True)
class Beat:
    """What a scratchpad mover hands over in a cycle; a DMA's last beat may be short."""

    data: Bytes
    mark: bool = False
    end: bool = False
    error: bool = False


@dataclass(frozen=True, kw_only=True)
class Walk:
    """A decoded descriptor.

    ``addresses`` is the byte address of every row; ``marks`` of a row whether it ends the marked
    loops; ``exists`` tells, a row each, of every byte of a run (DRAM) or every channel whether it
    exists. ``extensions`` are those that it goes through, each with its parameter; ``byte_mask``
    has a bit for each byte of a word that is written. ``next`` is the slot that follows, if one
    does; ``acquire`` is (lock, value, equal) and ``release`` (lock, delta), if there is one;
    ``iterations`` is 0 where the BD does not iterate.
    """

    addresses: npt.NDArray[np.int64]
    marks: npt.NDArray[np.bool_]
    channels: npt.NDArray[np.int64]
    exists: npt.NDArray[np.bool_]
    mode: int
    pad: int
    operator: int
    extensions: tuple[tuple[str, int], ...] = ()
    byte_mask: int = ALL
    next: int | None = None
    acquire: tuple[int, int, bool] | None = None
    release: tuple[int, int] | None = None
    iterations: int = 0


def _true_strides(bounds: Sequence[int], deltas: Sequence[int]) -> list[int]:
    strides: list[int] = []
    for level, delta in enumerate(deltas):
        strides.append(delta + sum((bounds[j] - 1) * strides[j] for j in range(level)))
    return strides


def decode(
    spec: Descriptor, words: Sequence[int], base: int | None = None, current: int | None = None
) -> Walk | Fault:
    """The walk that `words` describe, or the fault that the mover's checks find.

    `base` and `current` (of the iteration) take the place of those in the words.
    """
    mover, loops = spec.mover, range(spec.mover.loops)
    view = spec.layout.from_bits(sum(word << 32 * index for index, word in enumerate(words)))
    if not view.valid:
        return Fault(FaultCode.INVALID)
    if any(view[name] for name in spec.unsupported):
        return Fault(FaultCode.UNSUPPORTED)
    bounds = [view.bounds[level] for level in loops]
    strides = _true_strides(bounds, [view.deltas[level] for level in loops])
    locks = spec.config.locks
    if (view.acquire_enable and view.acquire_id >= locks) or (
        view.release_delta and view.release_id >= locks
    ):
        return Fault(FaultCode.FIELD_RANGE)
    if mover.is_scratchpad and view.mode not in spec.config.memory.modes(mover.reach):
        return Fault(FaultCode.FIELD_RANGE)
    start, size = view.base, view.iteration_size
    if base is not None:
        signed = Shape.cast(spec.layout["base"].shape).signed
        start = (base ^ 1 << 63) - (1 << 63) if signed else base
    if size > 1:
        start += (view.iteration_current if current is None else current) * view.iteration_stride
    addresses = rows(bounds, strides, start)
    channels, run = np.zeros(1, np.int64), 0
    if mover.is_scratchpad:
        spatial = [view.spatial_strides[d] for d in range(len(mover.spatial_bounds))]
        channels = rows(mover.spatial_bounds, spatial, 0)
    else:
        run = view.run_length
    exists = np.ones((addresses.size, channels.size if mover.is_scratchpad else run), np.bool_)
    for guard in (view.guards[g] for g in range(mover.guards)):
        values = rows(
            bounds, _true_strides(bounds, [guard.deltas[level] for level in loops]), guard.offset
        )
        if mover.is_scratchpad:
            places = indices(mover.spatial_bounds)[:, guard.dimension]
            along = values[:, None] + guard.coefficient * places
        else:
            along = values[:, None] + guard.run * np.arange(run)
        exists &= (along >= 0) & (along < guard.limit)
    if mover.channel_enable:
        exists &= np.array([view.channels >> each & 1 for each in range(channels.size)], np.bool_)
    empty = math.prod(bounds) == 0 or (not mover.is_scratchpad and run == 0)
    return Walk(
        addresses=addresses[:0] if empty else addresses,
        marks=marks(bounds, view.mark_level),
        channels=channels,
        exists=exists[:0] if empty else exists,
        mode=view.mode,
        pad=view.pad,
        operator=view.operator,
        extensions=tuple(
            (name, view.parameters[name] if EXTENSIONS[name].parameter_bits else 0)
            for bit, name in enumerate(mover.extensions)
            if view.extensions >> bit & 1
        ),
        byte_mask=view.byte_mask if mover.byte_mask else ALL,
        next=view.next if view.use_next else None,
        acquire=(
            (view.acquire_id, view.acquire_value, bool(view.acquire_mode))
            if view.acquire_enable
            else None
        ),
        release=(view.release_id, view.release_delta) if view.release_delta else None,
        iterations=size if size > 1 else 0,
    )


class ModelScratchpad:
    """Banks of words; an addressing mode says where an address lies."""

    def __init__(self, memory: MemoryConfig) -> None:
        self.memory = memory
        self.banks = np.zeros((memory.banks, memory.rows, memory.word_bytes), np.uint8)

    def _places(
        self, mode: int, addresses: npt.NDArray[np.int64]
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        word, group = addresses // self.memory.word_bytes, self.memory.groups[mode]
        within = word % (group * self.memory.rows)
        return word // (group * self.memory.rows) * group + within % group, within // group

    def check(self, walk: Walk, reach: int) -> Fault | None:
        """The first flaw of a walk, row by row and channel by channel."""
        every = walk.addresses[:, None] + walk.channels
        outside = (every < 0) | (every >= self.memory.bytes)
        askew = every % self.memory.word_bytes != 0
        banks, _ = self._places(walk.mode, every)
        channel = np.arange(walk.channels.size)
        beyond = banks % reach != channel % reach if reach else np.zeros_like(outside)
        for code, flaw in (
            (FaultCode.ADDRESS_RANGE, outside),
            (FaultCode.ALIGNMENT, askew),
            (FaultCode.REACH, beyond),
        ):
            if (flaw & walk.exists).any():
                return Fault(code, int(every[flaw & walk.exists][0]))
        return None

    def read(self, walk: Walk) -> Bytes:
        """A beat a row, of pad bytes where a channel does not exist."""
        every = np.where(walk.exists, walk.addresses[:, None] + walk.channels, 0)
        words = self.banks[self._places(walk.mode, every)]
        words[~walk.exists] = walk.pad
        return words.reshape(len(every), walk.channels.size * self.memory.word_bytes)

    def write(self, walk: Walk, row: int, data: Bytes) -> None:
        """One row; `data` may be short, and then only that many bytes are written."""
        there = walk.exists[row]
        every = np.where(there, walk.addresses[row] + walk.channels, 0)
        banks, lines = self._places(walk.mode, every)
        for index in range(data.size):
            channel, byte = divmod(index, self.memory.word_bytes)
            if there[channel] and walk.byte_mask >> byte & 1:
                self.banks[banks[channel], lines[channel], byte] = data[index]


class ModelDram:
    """Device memory with address ranges that answer with errors."""

    def __init__(
        self,
        size: int,
        base: int,
        read_errors: Sequence[range] = (),
        write_errors: Sequence[range] = (),
    ) -> None:
        self.bytes = np.zeros(size, np.uint8)
        self.base = base
        self.read_errors, self.write_errors = read_errors, write_errors

    def _fault(self, address: int, ranges: Sequence[range], slave: FaultCode) -> Fault | None:
        if any(address in bad for bad in ranges):
            return Fault(slave, address)
        if not 0 <= address - self.base < self.bytes.size:
            return Fault(FaultCode(slave + 1), address)
        return None

    def read(self, walk: Walk) -> tuple[Bytes, Fault | None]:
        """The walk's dense bytes, pad bytes for what does not exist, and the first fault."""
        out, fault = np.full(walk.exists.shape, walk.pad, np.uint8), None
        for row, start in enumerate(walk.addresses.tolist()):
            for index in np.flatnonzero(walk.exists[row]).tolist():
                bad = self._fault(start + index, self.read_errors, FaultCode.READ_SLVERR)
                fault = fault or bad
                if bad is None:
                    out[row, index] = self.bytes[start + index - self.base]
        return out.reshape(-1), fault

    def write(self, walk: Walk, data: Bytes) -> Fault | None:
        """Put dense bytes where the walk says; what does not exist is discarded."""
        fault, lines = None, data.reshape(walk.exists.shape)
        for row, start in enumerate(walk.addresses.tolist()):
            for index in np.flatnonzero(walk.exists[row]).tolist():
                bad = self._fault(start + index, self.write_errors, FaultCode.WRITE_SLVERR)
                fault = fault or bad
                if bad is None:
                    self.bytes[start + index - self.base] = lines[row, index]
        return fault


@dataclass(frozen=True, kw_only=True)
class Stepped:
    """Beats that a step of the array took of each port, and those that it gave."""

    took: dict[str, int]
    gave: dict[str, Beat]


class ModelArray:
    """The product by its definition: sums of products, modulo 2**32, and what int8 they become."""

    def __init__(self, array: ArrayConfig) -> None:
        self.array = array
        self.operators: deque[int] = deque()
        self.sum: npt.NDArray[np.int32] | None = None
        self.steps = 0

    def _matrix(self, beat: Beat, kind: str, width: int) -> npt.NDArray[Any]:
        return beat.data.view(kind).reshape(-1, width)

    def step(self, beats: Mapping[str, deque[Beat]]) -> Stepped | None:
        """One step with the oldest `beats` of each port, or None if one is missing.

        Takes a beat of A and of B, and one of C where one begins a sum; where the step ends one,
        gives what the operator word asks for, and takes the parameters for it.
        """
        a, b = beats["array.a"], beats["array.b"]
        if not a or not b:
            return None
        word = array_operator().from_bits(self.operators[0])
        wanted = {"array.a": 1, "array.b": 1}
        if self.sum is None and word.c_present:
            wanted["array.c"] = 1
        if a[0].mark and word.e_wanted:
            wanted["array.s"] = 1
            if beats["array.s"]:
                wanted["array.s"] = self.array.s_bits // 8 // beats["array.s"][0].data.size
        if any(len(beats[port]) < count for port, count in wanted.items()):
            return None
        taken = {port: [beats[port].popleft() for _ in range(n)] for port, n in wanted.items()}
        left, right = taken["array.a"][0], taken["array.b"][0]
        if "array.c" in taken:
            self.sum = self._matrix(taken["array.c"][0], "<i4", self.array.nu)
        self.sum = matmul(
            self._matrix(left, "i1", self.array.ku),
            self._matrix(right, "i1", self.array.nu),
            self.sum,
            zero_a=word.zero_a,
            zero_b=word.zero_b,
        )
        self.steps += 1
        if left.end:
            self.operators.popleft()
        if not left.mark:
            return Stepped(took=wanted, gave={})
        total, self.sum = self.sum, None
        gave = {}
        if word.d_too or not word.e_wanted:
            gave["array.d"] = _beat(total.astype("<i4"), left)
        if word.e_wanted:
            words = np.concatenate([beat.data for beat in taken["array.s"]])
            columns = [
                quantizer_parameters().from_bits(int.from_bytes(column.tobytes(), "little"))
                for column in words.reshape(self.array.nu, -1)
            ]
            gave["array.e"] = _beat(quantize(total, columns), left)
        return Stepped(took=wanted, gave=gave)


def _beat(tile: npt.NDArray[Any], last: Beat) -> Beat:
    """The beat of a result whose `last` operand this was."""
    return Beat(tile.reshape(-1).view(np.uint8), True, last.end)
