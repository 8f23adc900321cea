"""What a device was made to do, in sums."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Statistics"]


@dataclass(kw_only=True)
class Statistics:
    """Sums since the device was opened.

    Parameters
    ----------
    host_copies
        Operands that the host copied to put them where the device sees them.
    dma_calls, dma_bds
        Transfers asked of the DMA, and descriptors that its movers executed for them.
    bytes_read, bytes_written
        Useful DRAM bytes.
    """

    host_copies: int = 0
    dma_calls: int = 0
    dma_bds: int = 0
    bytes_read: int = 0
    bytes_written: int = 0

    def add(self, *, calls: int, descriptors: int, read: int, written: int) -> None:
        """Count transfers."""
        self.dma_calls += calls
        self.dma_bds += descriptors
        self.bytes_read += read
        self.bytes_written += written
