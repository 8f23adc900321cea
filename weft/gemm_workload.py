"""A matrix product as a workload."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .hw.config import ArrayConfig
from .hw.errors import ConfigError
from .rescaling import SMALL_ADDENDS, any_rescaling, rescaled
from .sw.device import Device
from .workload import Trial, Workload, filled

__all__ = ["GemmWorkload"]


@dataclass(frozen=True, kw_only=True)
class GemmWorkload(Workload):
    """``out = a @ b``, plus ``c`` with `accumulate`, or plus a row with `bias`.

    With `transpose_a` a lies in DRAM as [k][m], with `transpose_b` b as [n][k].
    """

    m: int
    n: int
    k: int
    accumulate: bool = False
    bias: bool = False
    transpose_a: bool = False
    transpose_b: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("m", "n", "k"):
            if getattr(self, name) < 1:
                raise ConfigError(name, getattr(self, name), "must be at least 1")
        if self.accumulate and self.bias:
            raise ConfigError("bias", self.bias, "excludes accumulate: there is one C")
        self.check_size("m, n, k", (self.m, self.n, self.k))

    @property
    def title(self) -> str:
        return f"gemm {self.m}x{self.n}x{self.k}"

    @property
    def bytes(self) -> int:
        operands = self.m * self.k + self.k * self.n
        sums, results = 4 * self.accumulate, np.dtype(self.out).itemsize
        return operands + (sums + results) * self.m * self.n + 4 * self.bias * self.n

    @property
    def macs(self) -> int:
        return self.m * self.n * self.k

    def steps(self, array: ArrayConfig) -> int:
        tiles = -(-self.m // array.mu) * -(-self.n // array.nu)
        return tiles * -(-self.k // array.ku)

    def as_dict(self) -> dict[str, Any]:
        return {
            "kind": "gemm",
            "m": self.m,
            "n": self.n,
            "k": self.k,
            "accumulate": self.accumulate,
            "bias": self.bias,
            "transpose_a": self.transpose_a,
            "transpose_b": self.transpose_b,
            "layout": "row-major",
            "out": self.out,
            "seed": self.seed,
        }

    def begin(self, device: Device) -> Trial:
        random = np.random.default_rng(self.seed)
        a = self._operand(device, (self.m, self.k), random, transposed=self.transpose_a)
        b = self._operand(device, (self.k, self.n), random, transposed=self.transpose_b)
        c = None
        if self.accumulate or self.bias:
            shape = (self.n,) if self.bias else (self.m, self.n)
            c = filled(device, shape, np.int32, random)
        quantization = None
        if self.out == "int8":
            quantization = any_rescaling(random, device, terms=self.k, columns=self.n)
        out = device.allocate((self.m, self.n), self.out)
        zeros = (quantization.zero_a, quantization.zero_b) if quantization else (0, 0)
        left, right = np.asarray(a, np.int64) - zeros[0], np.asarray(b, np.int64) - zeros[1]
        total = left @ right
        if c is not None:
            if quantization is not None:
                c >>= SMALL_ADDENDS
            total = total + np.asarray(c)
        # Modulo 2**32, as the accumulators are.
        expected: npt.NDArray[Any] = total.astype(np.int32)
        if quantization is not None:
            expected = rescaled(expected, quantization)
        operands = {"a": a, "b": b} | ({} if c is None else {"c": c})
        return Trial(
            operands=operands,
            run=lambda: device.gemm(a, b, out=out, c=c, quantization=quantization),
            out=out,
            expected=expected,
        )

    @staticmethod
    def _operand(
        device: Device, shape: tuple[int, int], random: np.random.Generator, *, transposed: bool
    ) -> npt.NDArray[np.int8]:
        """An int8 matrix on `device`, row-major or as the transpose of one that is."""
        if transposed:
            return filled(device, shape[::-1], np.int8, random).T
        return filled(device, shape, np.int8, random)
