"""What the DMA's stream operators mean."""

from __future__ import annotations

__all__ = ["add_constant", "compared", "crc32c", "fill", "first_difference"]

CASTAGNOLI = 0x1EDC6F41
"""x**32 + x**28 + x**27 + ... + 1, without its first term."""

ALL_ONES = (1 << 32) - 1


def mirrored(value: int) -> int:
    """The 32 bits of `value` in reverse order."""
    return int(f"{value:032b}"[::-1], 2)


def crc32c(message: bytes, before: int = 0) -> int:
    """The remainder of the message by Castagnoli's polynomial, a bit at a time (RFC 3720).

    The bits of a byte go lowest first, the remainder starts as ones, and the CRC is its inverse in
    reverse order. `before` is the CRC of what precedes the message.
    """
    remainder = mirrored(before ^ ALL_ONES)
    for byte in message:
        for place in range(8):
            out = remainder >> 31 ^ byte >> place & 1
            remainder = remainder << 1 & ALL_ONES ^ (CASTAGNOLI if out else 0)
    return mirrored(remainder) ^ ALL_ONES


def fill(pattern: int, length: int) -> bytes:
    """`length` bytes of the repeated pattern."""
    return bytes(pattern >> 8 * (k % 4) & 0xFF for k in range(length))


def first_difference(a: bytes, b: bytes) -> int | None:
    """The first index at which only one of them has a byte, or both have and they differ."""
    for k in range(max(len(a), len(b))):
        if a[k : k + 1] != b[k : k + 1]:
            return k
    return None


def compared(a: bytes, b: bytes, before: int = 0) -> int:
    """That index, `before` further on, as a record has it: at most two less than all ones.

    All ones stand for no difference.
    """
    found = first_difference(a, b)
    return ALL_ONES if found is None else min(before + found, ALL_ONES - 1)


def add_constant(message: bytes, size: int, constant: int) -> bytes:
    """The message with `constant` added to each element of `size` bytes, modulo its range.

    The last element may be cut: it is the low bytes of a sum.
    """
    result = b""
    for at in range(0, len(message), size):
        element = message[at : at + size]
        total = int.from_bytes(element, "little") + constant
        result += (total % (1 << 8 * size)).to_bytes(size, "little")[: len(element)]
    return result
