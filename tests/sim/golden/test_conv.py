import itertools

import numpy as np
import pytest

from weft.sim.golden.conv import convolve

RANDOM = np.random.default_rng(0)


@pytest.mark.parametrize("stride", [(1, 1), (2, 3)])
@pytest.mark.parametrize("dilation", [(1, 1), (2, 1)])
@pytest.mark.parametrize("pad", [((0, 0), (0, 0)), ((2, 0), (1, 3))])
def test_convolve_is_the_sum_over_the_kernel(
    stride: tuple[int, int],
    dilation: tuple[int, int],
    pad: tuple[tuple[int, int], tuple[int, int]],
) -> None:
    h, w, c, k, r, s = 6, 5, 3, 2, 2, 3
    image = RANDOM.integers(-128, 128, (h, w, c), np.int8)
    weights = RANDOM.integers(-128, 128, (r, s, c, k), np.int8)
    result = convolve(image, weights, stride=stride, pad=pad, dilation=dilation)
    high = (h + sum(pad[0]) - (r - 1) * dilation[0] - 1) // stride[0] + 1
    wide = (w + sum(pad[1]) - (s - 1) * dilation[1] - 1) // stride[1] + 1
    assert result.shape == (high, wide, k)
    for y, x, f in np.ndindex(result.shape):
        total = 0
        for i, j, m in itertools.product(range(r), range(s), range(c)):
            row = y * stride[0] + i * dilation[0] - pad[0][0]
            column = x * stride[1] + j * dilation[1] - pad[1][0]
            if 0 <= row < h and 0 <= column < w:
                total += int(image[row, column, m]) * int(weights[i, j, m, f])
        assert result[y, x, f] == total


def test_results_wrap() -> None:
    image, weights = np.full((1, 1, 1), -128, np.int8), np.full((1, 1, 1, 1), -128, np.int8)
    addend = np.full((1, 1, 1), 2**31 - 1, np.int32)
    assert convolve(image, weights, addend=addend)[0, 0, 0] == -(2**31) + 2**14 - 1
