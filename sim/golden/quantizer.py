"""What rescaling to int8 is, in exact numbers."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import floor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...hw.gemm.parameters import Rounding

__all__ = ["quantize", "rescaled"]

INT32 = np.iinfo(np.int32)


def rescaled(x: int, column: Any) -> int:
    """The result for an accumulator, with the fields of `quantizer_parameters` in `column`."""
    product = (x - column.zero_in) * column.multiplier
    if column.rounding == Rounding.ONNX:
        # Python rounds a half to the even integer.
        quotient = round(Fraction(product, 1 << column.shift))
    else:
        first = min(column.shift, 31)
        high = floor(Fraction(product, 1 << first) + Fraction(1, 2))
        high = min(max(high, int(INT32.min)), int(INT32.max))
        away = floor(Fraction(abs(high), 1 << column.shift - first) + Fraction(1, 2))
        quotient = away if high >= 0 else -away
    value = quotient + column.zero_out
    return column.high if value > column.high else max(value, column.low)


def quantize(x: NDArray[np.int32], columns: Sequence[Any]) -> NDArray[np.int8]:
    """``x[..., n]``, rescaled by ``columns[n]``."""
    rows = [
        [rescaled(value, column) for value, column in zip(row, columns, strict=True)]
        for row in x.reshape(-1, len(columns)).tolist()
    ]
    return np.array(rows, np.int8).reshape(x.shape)
