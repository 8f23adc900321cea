"""Makes a wide beat of the words of a few channels."""

from collections.abc import Sequence

from ..config import MoverConfig
from .rearrangement import Rearrangement

__all__ = ["Broadcaster"]


class Broadcaster(Rearrangement):
    """The words along all but the outermost spatial dimension go on, as often as they fit a beat.

    The other channels of the mover need no access: a BD that goes through switches them off by its
    ``channels``.

    Source: DataMaestro, section III-E (Broadcaster).
    """

    @classmethod
    def order_of(cls, mover: MoverConfig, word_bytes: int) -> Sequence[int]:
        wide = mover.channels * word_bytes
        narrow = wide // mover.spatial_bounds[-1]
        return [byte % narrow for byte in range(wide)]
