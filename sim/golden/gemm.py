"""What a matrix product is, and how its tiles lie in beats."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["beat_of", "matmul", "tile_of"]


def matmul(
    a: NDArray[np.int8],
    b: NDArray[np.int8],
    c: NDArray[np.int32] | None = None,
    *,
    zero_a: int = 0,
    zero_b: int = 0,
) -> NDArray[np.int32]:
    """``c[m, n] + sum over k of a[m, k] * b[k, n]``, modulo 2**32 into int32.

    With zero points it is ``(a[m, k] - zero_a) * (b[k, n] - zero_b)``.
    """
    left, right = a.astype(np.int64) - zero_a, b.astype(np.int64) - zero_b
    total = (left[:, :, None] * right[None, :, :]).sum(axis=1)
    if c is not None:
        total = total + c.astype(np.int64)
    # A conversion to a narrower integer keeps the low bits: that is the modulus.
    return (total & 0xFFFF_FFFF).astype(np.uint32).view(np.int32)


def beat_of(tile: NDArray[np.int8] | NDArray[np.int32]) -> int:
    """The data of a beat: the last index fastest, the first element and byte lowest."""
    little = np.ascontiguousarray(tile).astype(tile.dtype.newbyteorder("<"))
    return int.from_bytes(little.tobytes(), "little")


def tile_of(beat: int, shape: tuple[int, int]) -> NDArray[np.int32]:
    """The int32 tile of a D beat; the inverse of :func:`beat_of`."""
    raw = beat.to_bytes(4 * shape[0] * shape[1], "little")
    return np.frombuffer(raw, "<i4").astype(np.int32).reshape(shape)
