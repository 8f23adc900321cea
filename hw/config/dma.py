"""Parameters of the DMA's AXI4 master."""

from dataclasses import dataclass

from .checks import check, check_range, is_power_of_two

__all__ = ["BOUNDARY_BYTES", "RECORD_BYTES", "DmaConfig"]

BOUNDARY_BYTES = 4096
"""No burst crosses a multiple of it."""

RECORD_BYTES = 32
"""A completion record, see :mod:`weft.hw.bus.record`; it is written by one burst."""


@dataclass(frozen=True, kw_only=True)
class DmaConfig:
    """The AXI4 master shared by the DRAM movers.

    Parameters
    ----------
    data_bits, address_bits
        Widths of the AXI4 data and address channels.
    burst_beats
        Longest burst; no burst crosses 4 KiB.
    read_outstanding, write_outstanding
        Bursts in flight, tracked apart.
    read_buffer, write_buffer
        Beats of data buffering. A read burst is issued when its beats have reserved room; a write
        burst when it is buffered whole.
    aging
        Bursts of high-priority movers that may go before a waiting one of a mover that is not.
    windows
        Pieces of DRAM that each mover may be confined to.
    pipelined
        Whether the DRAM ports have a register between any two of their stages, for a fast clock: a
        row reaches the bus three cycles later, or five if it has guards.
    records
        Whether movers write a completion record for each task that asks for one.
    """

    data_bits: int = 512
    address_bits: int = 64
    burst_beats: int = 16
    read_outstanding: int = 16
    write_outstanding: int = 16
    read_buffer: int = 64
    write_buffer: int = 64
    aging: int = 16
    windows: int = 0
    pipelined: bool = False
    records: bool = False

    def __post_init__(self) -> None:
        check(
            self.data_bits in (32, 64, 128, 256, 512),
            "dma.data_bits",
            self.data_bits,
            "must be 32, 64, 128, 256 or 512",
        )
        check_range("dma.address_bits", self.address_bits, 32, 64)
        longest = min(256, 8 * BOUNDARY_BYTES // self.data_bits)
        check_range("dma.burst_beats", self.burst_beats, 1, longest)
        check(
            is_power_of_two(self.burst_beats),
            "dma.burst_beats",
            self.burst_beats,
            "must be a power of two",
        )
        for name in ("read_outstanding", "write_outstanding"):
            check_range(f"dma.{name}", getattr(self, name), 1, 256)
        for name in ("read_buffer", "write_buffer"):
            check_range(f"dma.{name}", getattr(self, name), self.burst_beats, 4096)
        check_range("dma.aging", self.aging, 1, 255)
        check_range("dma.windows", self.windows, 0, 8)

    @property
    def data_bytes(self) -> int:
        return self.data_bits // 8
