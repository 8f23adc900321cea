"""Bytes of a beat at other places: what operators have in common that are wires only."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Self

from amaranth.hdl import Cat, Module, Value

from ..config import MoverConfig
from .mapper import Mapper

__all__ = ["Rearrangement"]


class Rearrangement(Mapper):
    """Every byte of the result is one of the beat's. Wires only.

    Those that come first of a mover's extensions are no stage of its chain, but part of its
    :class:`~weft.hw.streamer.gather.Gather`, which wants their order alone.

    Parameters
    ----------
    order
        For each byte of a beat, lowest first, which one comes there.
    """

    def __init__(self, *, order: Sequence[int]) -> None:
        self._order = tuple(order)
        super().__init__(width=8 * len(self._order))

    @classmethod
    @abstractmethod
    def order_of(cls, mover: MoverConfig, word_bytes: int) -> Sequence[int]:
        """The order for the beats of `mover`."""

    @classmethod
    def of_mover(cls, mover: MoverConfig, word_bits: int) -> Self:
        return cls(order=cls.order_of(mover, word_bits // 8))

    @property
    def order(self) -> tuple[int, ...]:
        return self._order

    def changed(self, m: Module, content: Value) -> Value:
        return Cat(content.word_select(byte, 8) for byte in self._order)
