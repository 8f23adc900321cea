"""Products to int8 on a device, and what must come of them."""

from types import SimpleNamespace
from typing import Any

import numpy as np

from weft.sim.golden.gemm import matmul
from weft.sim.golden.quantizer import quantize
from weft.sw.quantization import Quantization

__all__ = ["Product", "any_quantization", "quantized"]


def any_quantization(N: int, K: int, random: np.random.Generator) -> Quantization:
    """Results that are spread over their range, whatever the zero points."""
    zero_a, zero_b = (int(zero) for zero in random.integers(-128, 128, 2))
    return Quantization.from_scale(
        random.uniform(0.5, 2, N) / (120 * np.sqrt(K)),
        zero_in=K * zero_a * zero_b + random.integers(-3000, 3000, N),
        zero_out=random.integers(-20, 20, N),
        rounding=random.integers(0, 2, N),
        low=random.integers(-128, -90, N),
        high=100,
        zero_a=zero_a,
        zero_b=zero_b,
    )


def quantized(sums: Any, quantization: Quantization) -> Any:
    """By the definition, the last axis being that of the columns."""
    columns = [SimpleNamespace(**c) for c in quantization.columns(sums.shape[-1])]
    return quantize(sums, columns)


class Product:
    """Operands in the memory of `dev`, and its results ``sum`` and ``result``."""

    def __init__(self, dev: Any, shape: tuple[int, int, int], with_c: bool, seed: int = 0) -> None:
        (M, N, K), random = shape, np.random.default_rng(seed)
        self.dev, self.quantization = dev, any_quantization(N, K, random)
        self.a, self.b = dev.allocate((M, K), np.int8), dev.allocate((K, N), np.int8)
        self.a[:] = random.integers(-128, 128, (M, K))
        self.b[:] = random.integers(-128, 128, (K, N))
        self.d, self.e = dev.allocate((M, N), np.int32), dev.allocate((M, N), np.int8)
        self.c = None
        if with_c:
            self.c = dev.allocate((M, N), np.int32)
            self.c[:] = random.integers(-9000, 9000, (M, N))
        zeros = {"zero_a": self.quantization.zero_a, "zero_b": self.quantization.zero_b}
        self.sum = matmul(self.a, self.b, self.c, **zeros)
        self.result = quantized(self.sum, self.quantization)
        # Not all at an end of the range.
        assert M * N < 20 or len(np.unique(self.result)) > 5

    def run(self, results: str) -> Any:
        """Ask for ``d``, ``e`` or both, and get these and nothing else."""
        out = (self.d if "d" in results else None, self.e if "e" in results else None)
        report = self.dev.gemm(
            self.a,
            self.b,
            self.e if results == "e" else out,
            self.c,
            quantization=self.quantization,
        )
        np.testing.assert_array_equal(self.d, self.sum if "d" in results else 0)
        np.testing.assert_array_equal(self.e, self.result if "e" in results else 0)
        return report
