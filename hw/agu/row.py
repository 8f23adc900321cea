"""What goes into an address generation unit, and what it hands to the memory port below it."""

from amaranth.hdl import Shape, signed, unsigned
from amaranth.lib import data

from ..bus.streams import present_fields
from ..config import MemoryConfig, MoverConfig

__all__ = [
    "BOUND_BITS",
    "COEFFICIENT_BITS",
    "GUARD_BITS",
    "channel_address",
    "channel_row",
    "loop_step",
    "row_address_bits",
    "stride_shape",
    "temporal_row",
    "temporal_task",
]

BOUND_BITS = 16
"""Width of a loop bound."""

GUARD_BITS = 32
"""Width of a guard's running value, signed."""

COEFFICIENT_BITS = 16
"""Width of what a guard changes by from channel to channel, signed."""


def row_address_bits(memory: MemoryConfig, guards: int) -> int:
    """Width of a scratchpad row's address.

    One bit more than an address has shows a step out of the scratchpad, on either side. Where
    guards can exclude the channels that lie outside, a row may begin there: its address is signed,
    and has a bit for the sign as well.
    """
    return memory.address_bits + (2 if guards else 1)


def stride_shape(memory: MemoryConfig) -> Shape:
    """Shape of a spatial stride: a bit more than an address has, so that a step out of range
    shows."""
    return signed(memory.address_bits + 1)


def channel_address(memory: MemoryConfig, mover: MoverConfig) -> Shape:
    """Shape of every address that a row can ask of a channel, in range or not."""
    extreme = 1 << stride_shape(memory).width - 1
    span = extreme * sum(bound - 1 for bound in mover.spatial_bounds)
    # Two more than an address: the sign of a row with guards, and one past the last address.
    most = 2 << memory.address_bits
    return Shape.cast(range(-span - (most if mover.guards else 1), most + span))


def temporal_task(
    address_bits: int, loops: int, guards: int, settings: object
) -> data.StructLayout:
    """One BD for a temporal AGU; loop 0 is the innermost.

    One that is ``empty`` has a bound of 0, and gives no row at all; ``single``, a bit a loop, says
    which bounds are 1; loops 0..``mark_level`` end with a `mark`; the address starts at ``base``,
    and each guard at its value in ``guards``. What else there is to know of a loop is read as it
    steps, see :func:`loop_step`.
    """
    return present_fields(
        {
            "empty": 1,
            "base": address_bits,
            "single": loops,
            "mark_level": 4,
            "guards": data.ArrayLayout(signed(GUARD_BITS), guards),
            "settings": settings,
        }
    )


def loop_step(address_bits: int, guards: int) -> data.StructLayout:
    """One loop of a BD.

    ``bound`` is its iteration count, of which ``two`` says that it is 2; ``delta`` is what the
    address changes by when it is the outermost loop that steps, and ``guards`` what each guard does
    then.
    """
    return present_fields(
        {
            "bound": unsigned(BOUND_BITS),
            "two": 1,
            "delta": signed(min(address_bits, 32)),
            "guards": data.ArrayLayout(signed(GUARD_BITS), guards),
        }
    )


def temporal_row(address_bits: int, guards: int, settings: object) -> data.StructLayout:
    """One step of the temporal loops.

    ``address`` is in bytes; ``guards`` are the running values of the BD's affine windows; ``mark``
    ends loops 0..mark_level, ``end`` the BD, ``first`` begins it; ``settings`` are the BD's fields
    that the port needs, constant over the BD and given with every row, so that no stage ever reads
    the next task's.
    """
    return present_fields(
        {
            "address": address_bits,
            "guards": data.ArrayLayout(signed(GUARD_BITS), guards),
            "mark": 1,
            "end": 1,
            "first": 1,
            "settings": settings,
        }
    )


def channel_row(memory: MemoryConfig, mover: MoverConfig) -> data.StructLayout:
    """One row of word addresses, a channel each, after the bank remapper.

    A channel whose ``skip`` is set makes no access but keeps its place: a reader delivers the
    BD's ``pad`` byte, a writer drops its data. It is not enabled, does not exist, or failed its
    address check; ``error``, of a reader, says that a channel of the row did. Of a mover with a
    ``byte_mask``, that says which bytes of each word are written.
    """
    channel = data.StructLayout({"bank": range(memory.banks), "row": range(memory.rows), "skip": 1})
    return present_fields(
        {
            "channels": data.ArrayLayout(channel, mover.channels),
            "pad": 8,
            "byte_mask": memory.word_bytes if mover.byte_mask else 0,
            "mark": 1,
            "end": 1,
            "error": int(mover.is_source),
        }
    )
