"""Int8 results of a workload: random parameters for its columns, and what must come of them."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import numpy.typing as npt

from .hw.gemm import Rounding
from .sim.golden.quantizer import quantize
from .sw.device import Device
from .sw.quantization import Quantization

__all__ = ["SMALL_ADDENDS", "any_rescaling", "rescaled"]

SMALL_ADDENDS = 14
"""By so many bits int32 of full range are made no larger than sums of products, which so count."""


def any_rescaling(
    random: np.random.Generator, device: Device, *, terms: int, columns: int
) -> Quantization:
    """Scales that spread sums of so many products over the range, and what else there is.

    Zero points are there where the array of `device` has them.
    """
    array = device.config.array
    with_zeros = array is not None and array.zero_points
    zeros = random.integers(-128, 128, 2) if with_zeros else np.zeros(2, int)
    zero_a, zero_b = (int(zero) for zero in zeros)
    # Operands are spread by 74 about the middle of their range.
    spread = math.hypot(74, zero_a) * math.hypot(74, zero_b) * math.sqrt(terms)
    return Quantization.from_scale(
        random.uniform(20, 80, columns) / spread,
        zero_in=terms * zero_a * zero_b + random.integers(-999, 1000, columns),
        zero_out=random.integers(-40, 40, columns),
        rounding=random.integers(0, len(Rounding), columns),
        low=random.integers(-128, 0, columns),
        zero_a=zero_a,
        zero_b=zero_b,
    )


def rescaled(sums: npt.NDArray[np.int32], quantization: Quantization) -> npt.NDArray[np.int8]:
    """What `sums`, whose last axis is that of the columns, become."""
    count = sums.shape[-1]
    columns = [SimpleNamespace(**column) for column in quantization.columns(count)]
    return quantize(sums, columns)
