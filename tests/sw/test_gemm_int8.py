"""Products to int8 on the model: every driver's decision without cycles."""

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from support.int8 import Product
from support.quantized import QUANTIZED
from weft.config import load_config
from weft.hw.gemm import Rounding
from weft.sim.golden.system import SystemModel
from weft.sw.device import Device
from weft.sw.errors import MappingError
from weft.sw.quantization import Quantization

SMALL = replace(QUANTIZED, name="small", memory=replace(QUANTIZED.memory, rows=64))
"""4 KiB: many tiles, and more than one of K."""


@pytest.mark.parametrize("with_c", [False, True])
@pytest.mark.parametrize("results", ["d", "e", "de"])
@pytest.mark.parametrize(
    ("config", "shapes"),
    [
        (QUANTIZED, [(1, 1, 1), (7, 5, 3)]),
        (SMALL, [(9, 22, 17)]),
        pytest.param(SMALL, [(13, 22, 40), (5, 9, 300)], marks=pytest.mark.soak),
    ],
    ids=["whole", "tiles", "deep"],
)
def test_odd_shapes(config: Any, shapes: Any, results: str, with_c: bool) -> None:
    for shape, prefetch in itertools.product(shapes, (False, True)):
        dev = Device(SystemModel(config, prefetch=prefetch), config)
        product = Product(dev, shape, with_c, seed=sum(shape))
        buffers = dev.buffers
        report = product.run(results)
        assert dev.buffers == buffers
        M, N, _ = shape
        written = ("d" in results) * 4 * M * N + ("e" in results) * M * N
        assert report.bytes_written == written
        assert not any(dev.locks.values)


def test_the_default_system_has_room_for_int8() -> None:
    config = load_config("datamaestro")
    dev = Device(SystemModel(config), config)
    report = Product(dev, (65, 33, 17), True).run("e")
    assert report.bytes_read == 65 * 17 + 17 * 33 + 4 * 65 * 33 + 16 * 33
    assert report.dma_calls == 5
    assert report.tiles == 1


def test_what_cannot_be_is_refused_before_anything_moves() -> None:
    dev = Device(SystemModel(QUANTIZED), QUANTIZED)
    a, b = dev.allocate((8, 6), np.int8), dev.allocate((6, 4), np.int8)
    d, e = dev.allocate((8, 4), np.int32), dev.allocate((8, 4), np.int8)
    every = Quantization()
    buffers = dev.buffers
    for out, c, quantization, text in (
        (e, None, None, "out has dtype int8: must be int32"),
        (d, None, every, "out has dtype int32: must be int8"),
        ((d, e), None, None, "out is a tuple: must be .* needs a quantization"),
        ((None, None), None, every, "out is a tuple: must be"),
        ((e, d), None, every, r"out\[0\] has dtype int8: must be int32"),
        ((d, d.view(np.int8)[:, ::4]), None, every, r"out\[1\] has strides"),
        ((d, d.view(np.int8)[:, :4]), None, every, r"out\[0\] lies over out\[1\], .* written too"),
        ((d, e[:4]), None, every, r"out\[1\] has shape \(4, 4\)"),
        (e, None, Quantization(shift=np.array([1, 2])), "shift has 2 values"),
        (d.view(np.int8)[:, :4], d, every, "out lies over c, which is still read"),
    ):
        with pytest.raises(MappingError, match=text):
            dev.gemm(a, b, out, c, quantization=quantization)
    assert dev.buffers == buffers
    assert dev.stats.dma_calls == 0
    tiny = load_config("tiny")
    plain = Device(SystemModel(tiny), tiny)
    a, b = plain.allocate((8, 6), np.int8), plain.allocate((6, 4), np.int8)
    d, e = plain.allocate((8, 4), np.int32), plain.allocate((8, 4), np.int8)
    with pytest.raises(MappingError, match=r"configuration tiny has no quantizer"):
        plain.gemm(a, b, e, quantization=every)
    with pytest.raises(MappingError, match=r"zero_b = .*: configuration tiny has no zero points"):
        plain.gemm(a, b, (d, None), quantization=Quantization(zero_b=1))
    plain.gemm(a, b, (d, None), quantization=Quantization(rounding=Rounding.ONNX))
