"""CRC-32C as a linear map over GF(2): from the shift register to one XOR a bit."""

from collections.abc import Callable

from amaranth.hdl import Cat, Value

__all__ = ["STATE_BITS", "absorb", "advance", "linear", "rewind"]

STATE_BITS = 32
POLYNOMIAL = 0x82F63B78
"""Castagnoli's, its coefficients reversed: the register shifts towards its low end."""


def absorb(data: int, length: int) -> int:
    """The register after `length` bytes of `data`, the lowest first, from all zeros."""
    state = 0
    for k in range(length):
        state = advance(state ^ (data >> 8 * k & 0xFF), 1)
    return state


def advance(state: int, length: int) -> int:
    """The register `length` bytes of zeros later."""
    for _ in range(8 * length):
        state = state >> 1 ^ (POLYNOMIAL if state & 1 else 0)
    return state


def rewind(state: int, length: int) -> int:
    """The register `length` bytes of zeros earlier: the inverse of :func:`advance`."""
    for _ in range(8 * length):
        low = state >> STATE_BITS - 1  # only the polynomial can have set the top bit
        state = (state ^ (POLYNOMIAL if low else 0)) << 1 | low
    return state


def linear(function: Callable[[int], int], value: Value) -> Value:
    """`function`, which is linear, of `value`: each bit of the result is an XOR of its bits."""
    columns = [function(1 << bit) for bit in range(len(value))]
    return Cat(
        (value & sum((column >> row & 1) << bit for bit, column in enumerate(columns))).xor()
        for row in range(STATE_BITS)
    )
