"""Where the regions of a placement are, in banks and rows."""

from weft.hw.config import MemoryConfig
from weft.sim.golden.agu import locate
from weft.sw.placement import Placement

__all__ = ["held"]


def held(memory: MemoryConfig, placement: Placement) -> list[tuple[int, int]]:
    """Bank and row of every word of every region."""
    regions = [*placement.a, *placement.b, *placement.d]
    return [
        locate(memory, word, region.group)
        for region in regions
        for word in range(
            region.base // memory.word_bytes, (region.base + region.size) // memory.word_bytes
        )
    ]
