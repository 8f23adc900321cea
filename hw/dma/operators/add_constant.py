"""Adds a constant to every element of a stream."""

from amaranth.hdl import Cat, Const, Module, Signal, Value, signed
from amaranth.lib import data

from .beat_map import BeatMap

__all__ = ["AddConstant", "add_constant_word"]

WORD_BYTES = 8
"""The largest element."""


def add_constant_word() -> data.StructLayout:
    """Elements of ``2**size`` bytes; ``constant`` is sign-extended or cut to that."""
    return data.StructLayout({"size": 2, "constant": signed(30)})


class AddConstant(BeatMap):
    """Adds the BD's constant to each element of 1, 2, 4 or 8 bytes, modulo its range.

    The BD's word is :func:`add_constant_word`. Elements are little-endian and lie densely from
    the BD's first byte on; one that the BD's end cuts is the low bytes of a sum. A constant of 0
    changes nothing. Timing, members and `width`, a multiple of 64, are those of
    :class:`~weft.hw.dma.operators.beat_map.BeatMap`.
    """

    def __init__(self, *, width: int) -> None:
        super().__init__(width=width, unit=8 * WORD_BYTES)

    def changed(self, m: Module, word: Value, content: Value) -> Value:
        given = add_constant_word()(word)
        # The constant in every element of a word, and the bytes whose carry goes on to the next.
        extended = Signal(signed(8 * WORD_BYTES))
        addend = Signal(8 * WORD_BYTES)
        carries = Signal(WORD_BYTES)
        m.d.comb += extended.eq(given.constant)
        with m.Switch(given.size):
            for size in range(4):
                element = 1 << size
                copies = WORD_BYTES // element
                with m.Case(size):
                    m.d.comb += [
                        addend.eq(extended[: 8 * element].replicate(copies)),
                        carries.eq(Cat((k + 1) % element != 0 for k in range(WORD_BYTES))),
                    ]

        def sum_of(value: Value) -> Value:
            """One adder with a bit between bytes that passes a carry on, or swallows it."""
            bytes_of = [(value[8 * k :][:8], addend[8 * k :][:8]) for k in range(WORD_BYTES)]
            left = Cat(Cat(byte, carries[k]) for k, (byte, _) in enumerate(bytes_of))
            right = Cat(Cat(added, Const(0, 1)) for _, added in bytes_of)
            total = (left + right)[: len(left)]
            return Cat(total[9 * k :][:8] for k in range(WORD_BYTES))

        return Cat(
            sum_of(content[at:][: 8 * WORD_BYTES]) for at in range(0, self.width, 8 * WORD_BYTES)
        )
