"""The golden quantizer against what others published."""

import random

import numpy as np
import pytest

from support.quantizer import EXTREMES, Column
from weft.hw.gemm.parameters import Rounding
from weft.sim.golden.gemm import matmul
from weft.sim.golden.quantizer import quantize, rescaled

INT32_MIN, INT32_MAX = -(1 << 31), (1 << 31) - 1


def quotient(numerator: int, denominator: int) -> int:
    """C's division: towards zero."""
    size = abs(numerator) // abs(denominator)
    return size if (numerator < 0) == (denominator < 0) else -size


def saturating_rounding_doubling_high_mul(a: int, b: int) -> int:
    """As gemmlowp's fixedpoint.h has it."""
    if a == b == INT32_MIN:
        return INT32_MAX
    nudge = 1 << 30 if a * b >= 0 else 1 - (1 << 30)
    return quotient(a * b + nudge, 1 << 31)


def rounding_divide_by_pot(x: int, exponent: int) -> int:
    """As gemmlowp's fixedpoint.h has it."""
    mask = (1 << exponent) - 1
    threshold = (mask >> 1) + (x < 0)
    return (x >> exponent) + ((x & mask) > threshold)


def multiply_by_quantized_multiplier(x: int, multiplier: int, shift: int) -> int:
    """As TFLite's common.h has it; `shift` is positive to the left."""
    left, right = max(shift, 0), max(-shift, 0)
    assert INT32_MIN <= x << left <= INT32_MAX, "undefined in C"
    return rounding_divide_by_pot(
        saturating_rounding_doubling_high_mul(x << left, multiplier), right
    )


@pytest.mark.parametrize("shift", range(63))
def test_tflite_s_rule_is_gemmlowp_s_for_every_shift(shift: int) -> None:
    toss = random.Random(shift)
    left = max(31 - shift, 0)
    within = [x for x in EXTREMES if INT32_MIN <= x << left <= INT32_MAX]
    inside = 0
    for _ in range(300):
        multiplier = toss.choice([*EXTREMES, 1 << 30, toss.randrange(INT32_MIN, INT32_MAX)])
        x = toss.choice([*within, toss.randrange(INT32_MIN >> left, (INT32_MAX >> left) + 1)])
        if toss.random() < 0.6 and multiplier:
            near = ((2 * toss.randrange(-130, 130) + 1) << shift >> 1) // multiplier
            near += toss.randrange(-1, 2)
            x = near if INT32_MIN <= near << left <= INT32_MAX else x
        column = Column(multiplier=multiplier, shift=shift, zero_out=toss.randrange(-128, 128))
        value = multiply_by_quantized_multiplier(x, multiplier, 31 - shift) + column.zero_out
        assert rescaled(x, column) == min(max(value, -128), 127)
        inside += -128 < value < 127
    assert inside > 30


def test_a_large_accumulator_saturates_where_c_would_overflow() -> None:
    assert rescaled(INT32_MAX, Column(multiplier=1, shift=0)) == 127
    assert rescaled(INT32_MIN, Column(multiplier=1, shift=0)) == -128
    # 33 bits less their zero: the high word saturates, and with it the result.
    column = Column(multiplier=INT32_MAX, zero_in=INT32_MIN, shift=31 + 25)
    assert rescaled(INT32_MAX, column) == 64


@pytest.mark.parametrize(
    ("x", "even"), [(-5, -2), (-3, -2), (-1, 0), (1, 0), (3, 2), (5, 2), (7, 4)]
)
def test_onnx_s_rule_rounds_halves_to_even(x: int, even: int) -> None:
    assert rescaled(x, Column(multiplier=1, shift=1, rounding=Rounding.ONNX)) == even


@pytest.mark.parametrize("seed", range(4))
def test_onnx_s_rule_is_the_operator_s(seed: int) -> None:
    """QLinearMatMul with a scale and a zero point for each column, where its floats are exact."""
    reason = "needs the extra weft[onnx]"
    runtime = pytest.importorskip("onnxruntime", reason=reason)
    onnx = pytest.importorskip("onnx", reason=reason)
    random = np.random.default_rng(seed)
    M, N, K = (int(size) for size in random.integers(1, 40, 3))
    operands = {
        "a": random.integers(-128, 128, (M, K)).astype(np.int8),
        "a_scale": np.float32(0.125),
        "a_zero": np.int8(random.integers(-128, 128)),
        "b": random.integers(-128, 128, (K, N)).astype(np.int8),
        # Quotients in range have no more bits than a float, and halves do occur.
        "b_scale": (random.integers(1, 128, N) / 256).astype(np.float32),
        "b_zero": np.full(N, random.integers(-128, 128), np.int8),
        "y_scale": np.float32(32 if seed % 2 else 16),
        "y_zero": np.int8(random.integers(-20, 20)),
    }
    types = {name: onnx.helper.np_dtype_to_tensor_dtype(v.dtype) for name, v in operands.items()}
    values = [
        onnx.helper.make_tensor_value_info(name, types[name], np.shape(v))
        for name, v in operands.items()
    ]
    result = onnx.helper.make_tensor_value_info("y", types["a"], (M, N))
    node = onnx.helper.make_node("QLinearMatMul", list(operands), ["y"])
    model = onnx.helper.make_model(
        onnx.helper.make_graph([node], "product", values, [result]),
        opset_imports=[onnx.helper.make_opsetid("", 13)],
        ir_version=8,
    )
    session = runtime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    (expected,) = session.run(None, {name: np.asarray(v) for name, v in operands.items()})

    x = matmul(
        operands["a"],
        operands["b"],
        zero_a=int(operands["a_zero"]),
        zero_b=int(operands["b_zero"][0]),
    )
    columns = []
    for scale in operands["b_scale"].tolist():
        exact = 0.125 * scale / float(operands["y_scale"])
        multiplier, shift = int(exact * 2**20), 20
        assert multiplier == exact * 2**20
        columns.append(
            Column(
                multiplier=multiplier,
                shift=shift,
                zero_out=int(operands["y_zero"]),
                rounding=Rounding.ONNX,
            )
        )
    np.testing.assert_array_equal(quantize(x, columns), expected)
