"""The pieces of DRAM that a mover is confined to, as register values."""

from __future__ import annotations

from collections.abc import Sequence

from ..hw.config import BOUNDARY_BYTES, AcceleratorConfig
from .errors import MappingError

__all__ = ["window_registers"]


def window_registers(
    config: AcceleratorConfig, mover: str, pieces: Sequence[tuple[int, int]]
) -> dict[str, int]:
    """Every window register of `mover` by name; those beyond `pieces` are disabled.

    What enables a window comes after what it is.

    Raises
    ------
    MappingError
        As :meth:`~weft.sw.device.Device.confine`.
    """
    known = {entry.name: entry for entry in config.movers}
    dma = config.dma
    if mover not in known or known[mover].is_scratchpad or dma is None:
        raise MappingError(f"confine: {mover!r} is not a DRAM mover of {config.name}")
    if len(pieces) > dma.windows:
        raise MappingError(
            f"confine: {len(pieces)} pieces: {mover} has {dma.windows} windows (dma.windows)"
        )
    values: dict[str, int] = {}
    for index in range(dma.windows):
        start, nbytes = pieces[index] if index < len(pieces) else (0, 0)
        if (
            start % BOUNDARY_BYTES
            or nbytes % BOUNDARY_BYTES
            or (index < len(pieces) and not nbytes)
        ):
            raise MappingError(
                f"confine: {nbytes} bytes at {start:#x}: must be whole pages of {BOUNDARY_BYTES}"
            )
        if not 0 <= start <= start + nbytes <= 1 << dma.address_bits:
            raise MappingError(
                f"confine: {nbytes} bytes at {start:#x} leave {dma.address_bits} address bits"
            )
        last = max(start + nbytes - BOUNDARY_BYTES, 0)
        name = f"WINDOW{index}"
        if dma.address_bits > 32:
            values[f"{name}_LAST_HIGH"] = last >> 32
            values[f"{name}_FIRST_HIGH"] = start >> 32
        values[f"{name}_LAST_LOW"] = last & 0xFFFF_FFFF
        values[f"{name}_FIRST_LOW"] = (start & 0xFFFF_FFFF) | int(index < len(pieces))
    return values
