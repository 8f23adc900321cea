"""Makes a wide beat of the words of a few channels."""

from __future__ import annotations

from typing import Self

from amaranth.hdl import Module

from ..config import MoverConfig
from .extension import Extension

__all__ = ["Broadcaster"]


class Broadcaster(Extension):
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

    def elaborate(self, platform: object) -> Module:
        m = Module()
        given = self.i.payload
        copies = self._width // self._narrow
        m.d.comb += [
            self.o.valid.eq(self.i.valid),
            self.i.ready.eq(self.o.ready),
            self.o.payload.data.eq(given.data[: self._narrow].replicate(copies)),
            self.o.payload.mark.eq(given.mark),
            self.o.payload.end.eq(given.end),
            self.o.payload.error.eq(given.error),
        ]
        return m
