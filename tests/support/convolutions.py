"""Random convolutions: a problem, its operands on a device, and what must come of it."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st

from weft.rescaling import SMALL_ADDENDS, any_rescaling, rescaled
from weft.sim.golden.conv import convolve
from weft.sw.convolution import Convolution
from weft.sw.device import Device

__all__ = ["Problem", "check_convolution", "problems"]

Pair = tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class Problem:
    """By the field's letters; `pad` is of rows and columns, each before and after."""

    h: int
    w: int
    c: int
    k: int
    r: int = 1
    s: int = 1
    stride: Pair = (1, 1)
    pad: tuple[Pair, Pair] = ((0, 0), (0, 0))
    dilation: Pair = (1, 1)

    @property
    def convolution(self) -> Convolution:
        return Convolution.of(**vars(self))


def _covers(problem: Problem) -> bool:
    """Whether the kernel fits the padded image."""
    (top, bottom), (left, right) = problem.pad
    high, wide = top + problem.h + bottom, left + problem.w + right
    return (problem.r - 1) * problem.dilation[0] < high and (problem.s - 1) * problem.dilation[
        1
    ] < wide


def problems(extent: int, channels: int) -> st.SearchStrategy[Problem]:
    """Images of up to `extent` rows and columns, with up to so many channels."""
    kernels = st.sampled_from([1, 2, 3, 3, 5, 7])
    pads = st.tuples(st.integers(0, 3), st.integers(0, 3))
    return st.builds(
        Problem,
        h=st.integers(1, extent),
        w=st.integers(1, extent),
        c=st.integers(1, channels),
        k=st.integers(1, channels),
        r=kernels,
        s=kernels,
        stride=st.tuples(st.integers(1, 3), st.integers(1, 3)),
        pad=st.tuples(pads, pads),
        dilation=st.tuples(st.integers(1, 2), st.integers(1, 2)),
    ).filter(_covers)


def filled(dev: Device, shape: tuple[int, ...], dtype: Any, random: np.random.Generator) -> Any:
    array, limits = dev.allocate(shape, dtype), np.iinfo(dtype)
    array[:] = random.integers(limits.min, limits.max, shape, dtype, endpoint=True)
    return array


def check_convolution(
    dev: Device, problem: Problem, *, bias: str = "", seed: int = 0, results: str = "d"
) -> Any:
    """Run it with operands of full range; the report. `bias` is ``filter``, ``full`` or nothing.

    `results` are ``d``, the int32 sums, ``e``, their int8, or both; with the latter there are zero
    points, and the bias is no larger than the sums.
    """
    random, p, before = np.random.default_rng(seed), problem, dev.buffers
    image = filled(dev, (p.h, p.w, p.c), np.int8, random)
    weights = filled(dev, (p.r, p.s, p.c, p.k), np.int8, random)
    shape = p.convolution.outputs
    d = filled(dev, shape, np.int32, random) if "d" in results else None
    e = filled(dev, shape, np.int8, random) if "e" in results else None
    buffers = [each for each in (image, weights, d, e) if each is not None]
    addend, quantization = None, None
    if bias:
        addend = filled(dev, shape if bias == "full" else shape[-1:], np.int32, random)
        buffers.append(addend)
    zeros: dict[str, int] = {}
    if e is not None:
        quantization = any_rescaling(random, dev, terms=p.r * p.s * p.c, columns=p.k)
        zeros = {"zero_a": quantization.zero_a, "zero_b": quantization.zero_b}
        if addend is not None:
            addend >>= SMALL_ADDENDS
    places = {"stride": p.stride, "pad": p.pad, "dilation": p.dilation}
    total = convolve(image, weights, **places, addend=addend, **zeros)
    report = dev.conv(
        image,
        weights,
        d if e is None else e if d is None else (d, e),
        **places,
        bias=addend,
        quantization=quantization,
    )
    if d is not None:
        np.testing.assert_array_equal(d, total)
    if e is not None:
        np.testing.assert_array_equal(e, rescaled(total, quantization))
    assert dev.stats.host_copies == 0
    assert report.macs == p.convolution.macs
    for buffer in buffers:
        dev.free(buffer)
    assert dev.buffers == before
    return report
