"""Scales as integers, and the parameters as they lie in memory."""

import math
import random
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from weft.hw.gemm import Rounding, quantizer_parameters
from weft.sw.errors import MappingError
from weft.sw.quantization import Quantization, fixed_point


def tflite(scale: float) -> tuple[int, int]:
    """TFLite's QuantizeMultiplier; its shift is positive to the left."""
    mantissa, exponent = math.frexp(scale)
    multiplier = math.floor(mantissa * (1 << 31) + 0.5)
    if multiplier == 1 << 31:
        multiplier, exponent = 1 << 30, exponent + 1
    return multiplier, exponent


def test_a_scale_becomes_what_tflite_makes_of_it() -> None:
    toss = random.Random(0)
    scales = [math.ldexp(toss.uniform(0.5, 1), toss.randrange(-32, 31)) for _ in range(500)]
    # A 32nd bit that rounds up to the next power of two, and a half.
    scales += [1 - 2**-33, 0.5 + 2**-33, 1.0, 0.5, 2.0**30]
    for scale in scales:
        multiplier, shift = fixed_point(scale)
        assert (multiplier, 31 - shift) == tflite(scale)
        assert abs(Fraction(multiplier, 1 << shift) - Fraction(scale)) <= Fraction(1, 2 << shift)


def test_small_scales_are_exact_to_the_63rd_bit() -> None:
    assert fixed_point(0.0)[0] == 0
    assert fixed_point(2.0**-63) == (1, 63)
    assert fixed_point(2.0**-64) == (1, 63)
    assert fixed_point(2.0**-65) == (0, 63)
    for value in np.random.default_rng(0).uniform(2**-30, 1, 100).astype(np.float32).tolist():
        assert Fraction(*(lambda m, s: (m, 1 << s))(*fixed_point(value))) == Fraction(value)


@pytest.mark.parametrize("scale", [-1e-9, 2.0**31, 2.0**31 - 0.25, math.inf, math.nan])
def test_an_impossible_scale_is_refused(scale: float) -> None:
    with pytest.raises(MappingError, match="scale = "):
        fixed_point(scale)


def test_columns_lie_in_memory_as_the_hardware_reads_them() -> None:
    every = Quantization(
        multiplier=np.array([1, -(1 << 31), 5]),
        shift=np.array([0, 63, 7]),
        zero_in=-9,
        zero_out=np.array([-128, 0, 127]),
        rounding=np.array([0, 1, 0]),
        high=6,
    )
    packed = every.packed(3)
    assert packed.shape == (3, 16)
    assert packed[1].tolist() == [0, 0, 0, 128, 247, 255, 255, 255, 127, 0, 128, 6, 0, 0, 0, 0]
    layout = quantizer_parameters()
    for row, column in zip(packed, every.columns(3), strict=True):
        word = layout.from_bits(int.from_bytes(row.tobytes(), "little"))
        assert {name: int(getattr(word, name)) for name in column} == column
    scaled = Quantization.from_scale([0.5, 0.25], rounding=Rounding.ONNX)
    assert scaled.columns(2)[1]["shift"] == 32
    assert Quantization.from_scale(0.5).columns(1)[0]["multiplier"] == 1 << 30


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"multiplier": 1 << 31}, "multiplier = 2147483648: must be from -2147483648 to"),
        ({"shift": 64}, "shift = 64: must be from 0 to 63"),
        ({"shift": np.array([1, -1])}, "shift = -1: must be"),
        ({"zero_out": 128}, "zero_out = 128: must be from -128 to 127"),
        ({"rounding": 2}, "rounding = 2: must be from 0 to 1"),
        ({"zero_a": -129}, "zero_a = -129: must be from -128 to 127"),
        ({"zero_b": np.array([1])}, "zero_b = .*: must be an integer$"),
        ({"multiplier": 0.5}, "multiplier = 0.5: must be an integer or an array"),
        ({"low": np.array([0, 3]), "high": 2}, "low = .*: must not be above high = 2"),
        ({"low": np.zeros(2, int), "high": np.ones(3, int)}, "arrays of .*: must be of one length"),
        ({"zero_in": np.zeros((2, 2), int)}, "(?s)zero_in = .*: must be an integer or"),
    ],
)
def test_impossible_values_are_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(MappingError, match=message):
        Quantization(**values)


def test_an_array_of_another_length_is_refused() -> None:
    with pytest.raises(MappingError, match="shift has 3 values: must be one, or one for each of 4"):
        Quantization(shift=np.array([1, 2, 3])).packed(4)
