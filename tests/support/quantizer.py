"""Parameters and rows for the quantizer."""

import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from weft.hw.gemm.parameters import Rounding, quantizer_parameters

__all__ = ["EXTREMES", "Column", "any_column", "words_of"]

EXTREMES = (-(1 << 31), 1 - (1 << 31), -(1 << 30), -1, 0, 1, 1 << 30, (1 << 31) - 2, (1 << 31) - 1)
"""Of int32."""


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column's parameters by name; by default they are the identity."""

    multiplier: int = 1
    zero_in: int = 0
    shift: int = 0
    rounding: Rounding = Rounding.TFLITE
    zero_out: int = 0
    low: int = -128
    high: int = 127


def any_column(toss: random.Random) -> Column:
    """Parameters whose results are not all at an end of their range."""
    low, high = sorted(toss.randrange(-128, 128) for _ in range(2))
    shift = toss.randrange(64)
    bits = toss.choice([shift, 31, toss.randrange(32)])
    multiplier = toss.randrange(-(1 << min(bits, 31)), 1 << min(bits, 31))
    whole = toss.random() < 0.7
    return Column(
        multiplier=toss.choice([multiplier, multiplier, multiplier, *EXTREMES]),
        zero_in=toss.choice([0, toss.randrange(-99, 99), toss.choice(EXTREMES)]),
        shift=shift,
        rounding=toss.choice(list(Rounding)),
        zero_out=toss.choice([0, toss.randrange(-128, 128)]),
        low=-128 if whole else low,
        high=127 if whole else high,
    )


def words_of(columns: Sequence[Column]) -> int:
    """The bits of the columns' parameters, the first one lowest."""
    layout = quantizer_parameters()
    words = (layout.const(asdict(column)).as_bits() for column in columns)
    return sum(word << layout.size * index for index, word in enumerate(words))
