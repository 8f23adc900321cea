"""What a channel keeps of a row until it makes its request."""

from amaranth.hdl import Cat, Const, Value
from amaranth.lib import data

from ..bus.streams import present_fields
from ..config import MemoryConfig, MoverConfig

__all__ = ["ChannelAddress"]


class ChannelAddress:
    """Bank, row and ``skip`` of one channel, less the bits of the bank that its reach fixes.

    A channel whose bank is not congruent to its number modulo ``mover.reach`` is skipped, so of the
    others the low bits of the bank are known.

    Parameters
    ----------
    memory
        The scratchpad.
    mover
        The mover.
    index
        The number of the channel.

    Attributes
    ----------
    shape : :class:`amaranth.lib.data.StructLayout`
        ``bank``, the bits that are not known, if any; ``row``; ``skip``.
    """

    def __init__(self, *, memory: MemoryConfig, mover: MoverConfig, index: int) -> None:
        self._known = (mover.reach - 1).bit_length() if mover.reach else 0
        self._residue = index % (1 << self._known)
        bank_bits = (memory.banks - 1).bit_length()
        self.shape = present_fields(
            {"bank": bank_bits - self._known, "row": range(memory.rows), "skip": 1}
        )

    def kept(self, place: data.View) -> Value:
        """A channel of :func:`~weft.hw.agu.row.channel_row` as `shape`."""
        return Cat(place.bank[self._known :], place.row, place.skip)

    def bank(self, kept: data.View) -> Value:
        """The whole bank."""
        low = Const(self._residue, self._known)
        return Cat(low, kept.bank) if "bank" in self.shape.members else low
