"""Products to int8 on the gateware."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import weft
from support.convolutions import Problem, check_convolution
from support.engines import needs_compiler
from support.int8 import Product
from support.quantized import QUANTIZED
from weft.sw.quantization import Quantization

SMALL = replace(QUANTIZED, name="small", memory=replace(QUANTIZED.memory, rows=64))
"""4 KiB: a product of a few cycles has several tiles."""


@pytest.fixture(scope="module")
def device() -> Any:
    return weft.simulate(SMALL, "python", latency=5)


@pytest.fixture
def dev(device: Any) -> Any:
    device.reset()
    return device


@pytest.mark.parametrize(
    ("shape", "results", "with_c"),
    [
        ((3, 25, 6), "de", True),
        pytest.param((7, 5, 9), "e", False, marks=pytest.mark.soak),
        pytest.param((1, 1, 1), "e", True, marks=pytest.mark.soak),
        pytest.param((8, 8, 8), "de", False, marks=pytest.mark.soak),
        pytest.param((6, 7, 5), "d", True, marks=pytest.mark.soak),
    ],
)
def test_odd_shapes_with_zero_points(dev: Any, shape: Any, results: str, with_c: bool) -> None:
    dev.clear_counters()
    report = Product(dev, shape, with_c, seed=sum(shape)).run(results)
    assert (report.tiles > 1) == (shape[1] > 16)
    accesses = {name: counters["accesses"] for name, counters in dev.counters().items()}
    tiles = -(-shape[0] // 4) * -(-shape[1] // 4)
    assert accesses["E"] == tiles * 4 * ("e" in results)
    assert accesses["S"] == tiles * 4 * 4 * ("e" in results)
    assert accesses["D"] == tiles * 16 * ("d" in results)
    assert accesses["C"] == tiles * 16 * with_c
    assert report.bytes_written == shape[0] * shape[1] * (("e" in results) + 4 * ("d" in results))


@pytest.mark.soak
@pytest.mark.parametrize("results", ["e", "de"])
def test_the_array_s_movers_begin_when_all_is_loaded(dev: Any, results: str) -> None:
    """Whoever began before would only wait, and the first address counts."""
    Product(dev, (16, 16, 32), with_c=False).run(results)
    counters = dev.array_counters()
    span = counters["span_last"] - counters["span_first"] + 1
    assert span <= counters["array_active"] + 18


def test_a_convolution_with_zero_points(dev: Any) -> None:
    dev.clear_counters()
    problem = Problem(h=5, w=4, c=3, k=5, r=3, s=3, stride=(2, 2), pad=((1, 1), (0, 1)))
    check_convolution(dev, problem, bias="filter", results="de")
    counters = dev.counters()
    # 3 x 2 outputs of 5 filters are 3 x 2 tiles, each of 4 words, with 16 of parameters.
    assert (counters["E"]["accesses"], counters["S"]["accesses"]) == (24, 96)


@pytest.mark.soak
def test_relu6_with_a_bias_for_each_column(dev: Any) -> None:
    a, b = dev.allocate((6, 5), np.int8), dev.allocate((5, 3), np.int8)
    out = dev.allocate((6, 3), np.int8)
    a[:] = np.random.default_rng(0).integers(-128, 128, a.shape)
    b[:] = np.random.default_rng(1).integers(-128, 128, b.shape)
    bias = np.array([4000, -4000, 0])
    # A step of the result is a tenth: 6 is 60.
    dev.gemm(
        a,
        b,
        out,
        quantization=Quantization.from_scale(
            1 / 256, zero_in=-bias, zero_out=-50, low=-50, high=10
        ),
    )
    total = a.astype(np.int64) @ b.astype(np.int64) + bias
    expected = np.floor(np.clip(total / 256, 0, 60) + 0.5) - 50
    np.testing.assert_array_equal(out, expected)
    assert len(np.unique(out)) > 4


@pytest.mark.soak
@pytest.mark.parametrize("with_c", [False, True])
@pytest.mark.parametrize("results", ["e", "de"])
def test_the_default_system_s_figures(results: str, with_c: bool) -> None:
    dev = weft.simulate("datamaestro", "python")
    Product(dev, (64, 64, 64), with_c).run(results)
    counters = dev.array_counters()
    # Not a bubble between tiles, and five cycles more than int32 results take.
    assert counters["array_steps"] == 512
    assert counters["array_bubbles"] == 0
    assert counters["array_active"] == 542


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(12))
def test_many_tiles_under_backpressure(seed: int) -> None:
    random = np.random.default_rng(seed)
    dev = weft.simulate(
        SMALL, "python", latency=int(random.integers(0, 60)), backpressure=0.3, seed=seed
    )
    M, N, K = (int(n) for n in random.integers(1, 30, 3))
    Product(dev, (M, N, K), seed % 2 == 0, seed).run(["de", "e", "d"][seed % 3])


@pytest.mark.soak
@needs_compiler
@pytest.mark.parametrize("results", ["e", "de"])
def test_the_other_engine(results: str) -> None:
    dev = weft.simulate(QUANTIZED, "verilator")
    for shape in ((33, 50, 70), (64, 20, 600)):
        Product(dev, shape, True, seed=1).run(results)
        dev.reset()
