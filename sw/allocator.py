"""Memory that the device's DMA sees, handed out as numpy arrays: no staging copy exists."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .errors import AllocationError, NotDeviceMemory

__all__ = ["ALIGNMENT", "Allocator", "DeviceArray", "DeviceMemory"]

ALIGNMENT = 64
"""Bytes; what the longest AXI beat likes best."""


@dataclass(frozen=True, kw_only=True)
class DeviceMemory:
    """Where a device's DRAM lies in the host's address space.

    Parameters
    ----------
    pointer
        Host address of its first byte.
    size
        In bytes.
    base
        Device address of its first byte.
    """

    pointer: int
    size: int
    base: int

    def device_address(self, array: npt.NDArray[Any]) -> int | None:
        """Device address of the first element of `array`; None if any byte is elsewhere."""
        # ``ctypes.data`` is some other address for an array without elements.
        first = array.__array_interface__["data"][0]
        low = high = first
        if array.size:
            steps = [(n - 1) * step for n, step in zip(array.shape, array.strides, strict=True)]
            low += sum(step for step in steps if step < 0)
            high += sum(step for step in steps if step > 0) + array.itemsize
        if not (self.pointer <= low and high <= self.pointer + self.size):
            return None
        return self.base + first - self.pointer


class DeviceArray(np.ndarray):  # type: ignore[type-arg]
    """An ndarray in device memory; so are its views. Results of arithmetic are plain host memory.

    Attributes
    ----------
    device_address : int
        Of the first element, in bytes; `NotDeviceMemory` where the array is not a view of device
        memory any more.
    """

    _memory: DeviceMemory | None = None

    def __array_finalize__(self, origin: object) -> None:
        self._memory = getattr(origin, "_memory", None)

    @property
    def device_address(self) -> int:
        address = self._memory.device_address(self) if self._memory is not None else None
        if address is None:
            raise NotDeviceMemory(
                f"an array of {self.shape} {self.dtype} was computed on the host and is not in "
                "device memory; write it into one from Device.allocate"
            )
        return address


class Allocator:
    """First fit over a device's DRAM, in blocks of :data:`ALIGNMENT` bytes.

    Parameters
    ----------
    memory
        The transport's view of DRAM, contiguous bytes.
    base
        Device address of ``memory[0]``; should be a multiple of :data:`ALIGNMENT`.
    """

    def __init__(self, memory: npt.NDArray[np.uint8], base: int) -> None:
        if memory.dtype != np.uint8 or memory.ndim != 1 or not memory.flags.c_contiguous:
            raise AllocationError("device memory must be one contiguous array of uint8")
        self._bytes = memory
        self.memory = DeviceMemory(pointer=memory.ctypes.data, size=memory.size, base=base)
        start = -base % ALIGNMENT
        self._free = [(start, memory.size - start)] if memory.size > start else []
        self._used: dict[int, int] = {}
        self._lengths: dict[int, int] = {}
        self._left: list[npt.NDArray[Any]] = []

    @property
    def buffers(self) -> list[tuple[int, int]]:
        """Device address and length in bytes of everything that is handed out."""
        return [(self.memory.base + start, size) for start, size in sorted(self._lengths.items())]

    @property
    def free_bytes(self) -> int:
        """Bytes not handed out, in however many pieces."""
        return sum(size for _, size in self._free)

    def allocate(self, shape: tuple[int, ...], dtype: npt.DTypeLike) -> DeviceArray:
        """A zeroed C-contiguous array.

        Raises
        ------
        AllocationError
            A negative size, a type without a fixed size, or no free piece that is large enough.
        """
        kind = np.dtype(dtype)
        if kind.itemsize == 0 or kind.hasobject:
            raise AllocationError(f"dtype = {kind}: must be of a fixed size in bytes")
        if any(size < 0 for size in shape):
            raise AllocationError(f"shape = {shape}: must not be negative")
        length = math.prod(shape) * kind.itemsize
        needed = max(-(-length // ALIGNMENT) * ALIGNMENT, ALIGNMENT)
        for index, (start, size) in enumerate(self._free):
            if needed <= size:
                rest = (start + needed, size - needed)
                self._free[index : index + 1] = [rest] if rest[1] else []
                self._used[start], self._lengths[start] = needed, length
                self._bytes[start : start + length] = 0
                # Not a slice: an empty one would not keep its place.
                array = DeviceArray(shape, kind, buffer=self._bytes, offset=start)
                array._memory = self.memory
                return array
        largest = max((size for _, size in self._free), default=0)
        raise AllocationError(
            f"{length} bytes for {shape} {kind}: {self.free_bytes} of {self.memory.size} bytes are "
            f"free, the largest piece is {largest}"
        )

    def free(self, array: npt.NDArray[Any]) -> None:
        """Give back what `allocate` returned (not a view that starts elsewhere).

        Raises
        ------
        AllocationError
            Nothing that is allocated starts there.
        """
        address = self.memory.device_address(array)
        start = -1 if address is None else address - self.memory.base
        size = self._used.pop(start, None)
        if size is None:
            raise AllocationError("the array is not the start of an allocation of this device")
        del self._lengths[start]
        merged: list[tuple[int, int]] = []
        for piece in sorted([*self._free, (start, size)]):
            if merged and sum(merged[-1]) == piece[0]:
                merged[-1] = (merged[-1][0], merged[-1][1] + piece[1])
            else:
                merged.append(piece)
        self._free = merged

    def leave(self, array: npt.NDArray[Any]) -> None:
        """Give `array` back with the next `collect`: until then the device may reach for it."""
        self._left.append(array)

    def collect(self) -> None:
        """The device reaches for nothing: give back what was left."""
        while self._left:
            self.free(self._left.pop())
