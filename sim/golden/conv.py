"""What a convolution is, by its definition: shifted slices of the padded image, summed."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["convolve"]


def convolve(
    image: NDArray[np.int8],
    weights: NDArray[np.int8],
    *,
    stride: tuple[int, int] = (1, 1),
    pad: tuple[tuple[int, int], tuple[int, int]] = ((0, 0), (0, 0)),
    dilation: tuple[int, int] = (1, 1),
    addend: NDArray[np.int32] | None = None,
    zero_a: int = 0,
    zero_b: int = 0,
) -> NDArray[np.int32]:
    """``addend`` plus the sum over r, s and c of the padded ``image[y * stride + r * dilation, x *
    stride + s * dilation, c] * weights[r, s, c, k]``, modulo 2**32 into int32.

    `image` is [row][column][channel], `weights` are [row][column][channel][filter]. `stride` and
    `dilation` are of rows and columns; `pad` is of zeros before and after each. `zero_a` is what
    stands for zero in `image`, and `zero_b` in `weights`.
    """
    padded = np.pad(image.astype(np.int64) - zero_a, (*pad, (0, 0)))
    factors = weights.astype(np.int64) - zero_b
    taps_down, taps_across, _, filters = weights.shape
    high = (padded.shape[0] - (taps_down - 1) * dilation[0] - 1) // stride[0] + 1
    wide = (padded.shape[1] - (taps_across - 1) * dilation[1] - 1) // stride[1] + 1
    total = np.zeros((high, wide, filters), np.int64)
    for r in range(taps_down):
        for s in range(taps_across):
            shifted = padded[r * dilation[0] :: stride[0], s * dilation[1] :: stride[1]]
            total += shifted[:high, :wide] @ factors[r, s]
    if addend is not None:
        total = total + addend.astype(np.int64)
    # A conversion to a narrower integer keeps the low bits: that is the modulus.
    return (total & 0xFFFF_FFFF).astype(np.uint32).view(np.int32)
