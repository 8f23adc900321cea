"""Products to int8 on a device, and what must come of them."""

from typing import Any

import numpy as np

from weft.rescaling import any_rescaling, rescaled
from weft.sim.golden.gemm import matmul

__all__ = ["Product"]


class Product:
    """Operands in the memory of `dev`, and its results ``sum`` and ``result``."""

    def __init__(self, dev: Any, shape: tuple[int, int, int], with_c: bool, seed: int = 0) -> None:
        (M, N, K), random = shape, np.random.default_rng(seed)
        self.dev, self.quantization = dev, any_rescaling(random, dev, terms=K, columns=N)
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
        self.result = rescaled(self.sum, self.quantization)
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
