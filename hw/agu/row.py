"""What an address generation unit hands to the memory port below it."""

from amaranth.hdl import signed
from amaranth.lib import data

__all__ = ["GUARD_BITS", "temporal_row"]

GUARD_BITS = 32
"""Width of a guard's running value, signed."""


def temporal_row(address_bits: int, guards: int, settings: object) -> data.StructLayout:
    """One step of the temporal loops.

    ``address`` is in bytes; ``guards`` are the running values of the BD's affine windows; ``mark``
    ends loops 0..mark_level, ``end`` the BD, ``first`` begins it; ``settings`` are the BD's fields
    that the port needs, constant over the BD and given with every row, so that no stage ever reads
    the next task's.
    """
    return data.StructLayout(
        {
            "address": address_bits,
            "guards": data.ArrayLayout(signed(GUARD_BITS), guards),
            "mark": 1,
            "end": 1,
            "first": 1,
            "settings": settings,
        }
    )
