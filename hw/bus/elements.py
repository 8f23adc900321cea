"""Sums of the elements of a beat, whose size is known at run time."""

from amaranth.hdl import Cat, Const, Module, Signal, Value, signed
from amaranth.lib import data

__all__ = ["LONG_BYTES", "SIZE_BITS", "add_constant_word", "add_elements", "spread"]

SIZE_BITS = 2
"""Of the size of an element: ``2**size`` bytes."""

LONG_BYTES = 1 << (1 << SIZE_BITS) - 1
"""The largest element."""


def add_constant_word() -> data.StructLayout:
    """Elements of ``2**size`` bytes; ``constant`` is sign-extended or cut to that."""
    return data.StructLayout({"size": SIZE_BITS, "constant": signed(32 - SIZE_BITS)})


def add_elements(m: Module, left: Value, right: Value, size: Value) -> Value:
    """The sum of each element of two beats, modulo its range.

    Elements are little-endian and lie densely; a beat is a multiple of `LONG_BYTES`. It takes one
    adder a long, with a bit between bytes that passes a carry on, or swallows it.
    """
    # The carry of byte k goes on unless an element ends there, that is unless the size divides k+1.
    carries = Signal(LONG_BYTES)
    m.d.comb += carries.eq(Cat(size > _twos(byte + 1) for byte in range(LONG_BYTES)))

    def bytes_of(value: Value, at: int) -> list[Value]:
        return [value[at + 8 * byte :][:8] for byte in range(LONG_BYTES)]

    sums = []
    for at in range(0, len(left), 8 * LONG_BYTES):
        total = Signal(9 * LONG_BYTES, name=f"sum_{at}")
        a = Cat(Cat(byte, carry) for byte, carry in zip(bytes_of(left, at), carries, strict=True))
        b = Cat(Cat(byte, Const(0, 1)) for byte in bytes_of(right, at))
        m.d.comb += total.eq(a + b)
        sums += [total[9 * byte :][:8] for byte in range(LONG_BYTES)]
    return Cat(sums)


def spread(m: Module, constant: Value, size: Value) -> Signal:
    """A long whose elements are all `constant`, signed, extended or cut to their size."""
    long = Signal(8 * LONG_BYTES)
    extended = Signal(signed(len(long)))
    m.d.comb += extended.eq(constant)
    with m.Switch(size):
        for number in range(1 << SIZE_BITS):
            element = 8 << number
            with m.Case(number):
                m.d.comb += long.eq(extended[:element].replicate(len(long) // element))
    return long


def _twos(value: int) -> int:
    """How often 2 divides `value`."""
    return (value & -value).bit_length() - 1
