"""Makes a wide beat of the words of a few channels."""

from __future__ import annotations

from typing import Self

from amaranth.hdl import Module, Value

from ..config import MoverConfig
from .mapper import Mapper

__all__ = ["Broadcaster"]


class Broadcaster(Mapper):
    """The lowest `narrow` bits of a beat go on, as often as they fit it. Wires only.

    The other channels of the mover need no access: a BD that goes through switches them off by its
    ``channels``.

    Parameters
    ----------
    width, narrow
        Bits of a beat, a multiple of what is repeated.

    Source: DataMaestro, section III-E (Broadcaster).
    """

    def __init__(self, *, width: int, narrow: int) -> None:
        if narrow < 1 or width % narrow:
            raise ValueError(f"a beat of {width} bits is no multiple of {narrow}")
        self._narrow = narrow
        super().__init__(width=width)

    @classmethod
    def of_mover(cls, mover: MoverConfig, word_bits: int) -> Self:
        """Repeats along the outermost spatial dimension."""
        width = mover.channels * word_bits
        return cls(width=width, narrow=width // mover.spatial_bounds[-1])

    @property
    def narrow(self) -> int:
        return self._narrow

    def changed(self, m: Module, content: Value) -> Value:
        return content[: self._narrow].replicate(self._width // self._narrow)
