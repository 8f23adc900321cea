"""A pass of the array over tiles in the scratchpad: what every mapping comes down to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..hw.gemm import array_operator
from .descriptor import BufferDescriptor

__all__ = ["ArrayPass", "Move", "operator_word"]


@dataclass(frozen=True, kw_only=True)
class Move:
    """One transfer of the DMA, by what each end of its stream walks.

    Parameters
    ----------
    dram, scratchpad
        Without locks and route.
    nbytes
        Useful bytes; what pads them never reaches the bus.
    label
        For the reader.
    """

    dram: BufferDescriptor
    scratchpad: BufferDescriptor
    nbytes: int
    label: str


@dataclass(frozen=True, kw_only=True)
class ArrayPass:
    """What the array does with one tile of each operand, and what it needs for that.

    Parameters
    ----------
    streams
        Descriptors of the movers at the array by port, without locks, in the order in which to push
        them; ``array.c`` is there where the result adds to something, ``array.d`` where it is
        wanted, or a later pass goes on with it, ``array.e`` and ``array.s`` where int8 are.
    steps
        Steps that the array needs, bubbles excluded.
    load_s, load_a, load_b, load_c
        What brings E's parameters, or the operand, in this order; None where it stands in the
        scratchpad already.
    free_a, free_b
        How many regions of the operand nobody uses any more after the pass.
    first
        Whether it begins the accumulation of its result. A later one adds to what the one before it
        has left.
    store, store_e
        What takes the results D and E away; None where there is none, or a later pass goes on.
    label
        For the reader.
    """

    streams: Mapping[str, BufferDescriptor]
    steps: int
    load_c: Move | None
    load_a: Move | None
    load_b: Move | None
    free_a: int
    free_b: int
    first: bool
    store: Move | None
    label: str
    load_s: Move | None = None
    store_e: Move | None = None

    @property
    def loads(self) -> list[Move]:
        every = (self.load_s, self.load_a, self.load_b, self.load_c)
        return [load for load in every if load is not None]

    @property
    def stores(self) -> list[Move]:
        return [store for store in (self.store, self.store_e) if store is not None]


def operator_word(
    *, with_c: bool, to_d: bool, to_e: bool, zero_points: tuple[int, int] = (0, 0)
) -> int:
    """What the array is told of a pass, with A: what it adds to, what it makes, zero points."""
    word = array_operator().const(
        {
            "c_present": with_c,
            "e_wanted": to_e,
            "d_too": to_d and to_e,
            "zero_a": zero_points[0],
            "zero_b": zero_points[1],
        }
    )
    return word.as_bits()
