"""What cocotbext-axi's ``AxiRam`` holds: the bytes of an ndarray, and nothing elsewhere."""

from __future__ import annotations

import numpy as np

from weft.hw.config import BOUNDARY_BYTES

__all__ = ["DeviceMemory", "RefusedError"]

SPAN = 1 << 62
"""``AxiRam`` wraps an address at the length of its memory: far beyond any that is used."""


class RefusedError(Exception):
    """No such byte; ``AxiRam`` answers with SLVERR."""


class DeviceMemory:
    """Device memory in the form that ``AxiRam`` takes for its own, by slices.

    Parameters
    ----------
    base, size
        Device address of the first byte, and how many there are.

    Attributes
    ----------
    data : array of uint8
        The bytes, for the driver.
    refused : range
        Device addresses at which a beat is refused like one outside the memory.
    touched : set of int
        Numbers of the 4 KiB pages, counted from address 0, in which a beat was asked for.
    """

    def __init__(self, *, base: int, size: int) -> None:
        self.base = base
        self.data = np.zeros(size, np.uint8)
        self.refused = range(0)
        self.touched: set[int] = set()

    def __len__(self) -> int:
        return SPAN

    def __getitem__(self, addresses: slice) -> bytes:
        return self.data[self._within(addresses)].tobytes()

    def __setitem__(self, addresses: slice, data: bytes) -> None:
        self.data[self._within(addresses)] = np.frombuffer(data, np.uint8)

    def _within(self, addresses: slice) -> slice:
        start, stop = addresses.start, addresses.stop
        self.touched.add(start // BOUNDARY_BYTES)
        inside = self.base <= start and stop <= self.base + len(self.data)
        if not inside or max(start, self.refused.start) < min(stop, self.refused.stop):
            raise RefusedError(f"{start:#x} to {stop:#x}")
        return slice(start - self.base, stop - self.base)
