"""How a product becomes int8: what its columns are rescaled with, and the operands' zero points."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from amaranth.hdl import Shape

from ..hw.gemm import Rounding, array_operator, quantizer_parameters
from .errors import MappingError

__all__ = ["Quantization", "fixed_point"]

Integers = int | npt.NDArray[np.integer[Any]]
"""One for all columns, or one for each."""

COLUMN = quantizer_parameters()
ZERO_POINTS = ("zero_a", "zero_b")


def fixed_point(scale: float | Fraction) -> tuple[int, int]:
    """The multiplier and shift nearest to `scale`: ``multiplier / 2**shift``, with 31 bits.

    A half goes up, as in TFLite. A float32 is exact from 2**-40 on; where the shift is at its
    limit, 63, there are fewer bits.

    Raises
    ------
    MappingError
        It is negative, not finite, or rounds to 2**31 or more.
    """
    if not math.isfinite(scale) or not 0 <= scale < 1 << 31:
        raise MappingError(f"scale = {scale}: must be at least 0 and less than 2**31")
    exact = Fraction(scale)
    shift = 30
    while shift < 63 and exact * (1 << shift) < 1 << 30:
        shift += 1
    while shift >= 0 and exact * (1 << shift) + Fraction(1, 2) >= 1 << 31:
        shift -= 1
    if shift < 0:
        raise MappingError(f"scale = {scale}: rounds to 2**31")
    return math.floor(exact * (1 << shift) + Fraction(1, 2)), shift


@dataclass(frozen=True, kw_only=True, eq=False)
class Quantization:
    """``clamp(round((x - zero_in) * multiplier / 2**shift) + zero_out, low, high)`` of a sum x.

    The sum is that of ``(a - zero_a) * (b - zero_b)``, plus c. Each value but those two is one for
    all columns or an array with one for each; a bias is a negative ``zero_in``. The rule of
    ``rounding`` stands with :class:`~weft.hw.gemm.rescaler.Rescaler`. TFLite's shift, which is
    positive to the left, is ``31 - shift`` here; ONNX's scales become both by `from_scale`.

    Raises
    ------
    MappingError
        A value is no integer or out of its range, or ``low`` is above ``high``.
    """

    multiplier: Integers = 1
    shift: Integers = 0
    zero_in: Integers = 0
    zero_out: Integers = 0
    low: Integers = -128
    high: Integers = 127
    rounding: Integers = Rounding.TFLITE
    zero_a: int = 0
    zero_b: int = 0

    def __post_init__(self) -> None:
        for name, field in COLUMN:
            _check(str(name), getattr(self, str(name)), field.shape, dimensions=1)
        lengths = {
            str(n): v.size for n, _ in COLUMN if (v := np.asarray(getattr(self, str(n)))).ndim
        }
        if len(set(lengths.values())) > 1:
            raise MappingError(f"arrays of {lengths}: must be of one length")
        for name in ZERO_POINTS:
            _check(name, getattr(self, name), array_operator()[name].shape, dimensions=0)
        if np.any(np.asarray(self.low) > np.asarray(self.high)):
            raise MappingError(f"low = {self.low}: must not be above high = {self.high}")

    @classmethod
    def from_scale(cls, scale: float | npt.ArrayLike, **values: Any) -> Self:
        """With the `fixed_point` of a scale, or of an array of one for each column.

        Raises
        ------
        MappingError
            As `fixed_point`, and as above.
        """
        scales = np.asarray(scale, np.float64)
        if scales.ndim > 1:
            raise MappingError(f"scale has shape {scales.shape}: must be one, or one for a column")
        pairs = np.array([fixed_point(each) for each in scales.reshape(-1).tolist()], np.int64)
        multiplier, shift = pairs.reshape(-1, 2).T
        if scales.ndim == 0:
            return cls(multiplier=int(multiplier[0]), shift=int(shift[0]), **values)
        return cls(multiplier=multiplier, shift=shift, **values)

    def columns(self, count: int) -> list[dict[str, int]]:
        """The parameters of each of `count` columns, by name.

        Raises
        ------
        MappingError
            An array has another length.
        """
        spread = {}
        for key, _ in COLUMN:
            name = str(key)
            values = np.asarray(getattr(self, name))
            if values.ndim and values.size != count:
                raise MappingError(
                    f"{name} has {values.size} values: must be one, or one for each of {count} "
                    "columns"
                )
            spread[name] = np.broadcast_to(values, count).tolist()
        return [{name: spread[name][n] for name in spread} for n in range(count)]

    def packed(self, count: int) -> npt.NDArray[np.uint8]:
        """The same as they lie in memory, a row a column."""
        length = COLUMN.size // 8
        rows = (COLUMN.const(column).as_bits() for column in self.columns(count))
        raw = b"".join(row.to_bytes(length, "little") for row in rows)
        return np.frombuffer(raw, np.uint8).reshape(count, length)


def _check(name: str, value: object, shape: Any, *, dimensions: int) -> None:
    values, shape = np.asarray(value), Shape.cast(shape)
    if values.dtype.kind not in "iu" or values.ndim > dimensions:
        many = " or an array with one for each column" if dimensions else ""
        raise MappingError(f"{name} = {value!r}: must be an integer{many}")
    low = -(1 << shape.width - 1) if shape.signed else 0
    high = (1 << shape.width - shape.signed) - 1
    outside = values[(values < low) | (values > high)]
    if outside.size:
        raise MappingError(f"{name} = {outside.flat[0]}: must be from {low} to {high}")
