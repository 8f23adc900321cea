"""A convolution as a workload."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .hw.config import ArrayConfig
from .rescaling import SMALL_ADDENDS, any_rescaling, rescaled
from .sim.golden.conv import convolve
from .sw.convolution import Convolution
from .sw.device import Device
from .workload import Trial, Workload, filled

__all__ = ["ConvWorkload"]


@dataclass(frozen=True, kw_only=True)
class ConvWorkload(Workload):
    """One image of [h][w][c], a kernel of [r][s][c][k].

    Parameters
    ----------
    stride, dilation
        Of rows, and of columns.
    pad
        Of rows, and of columns: before, and after.
    bias
        Whether each filter has one.
    """

    h: int
    w: int
    c: int
    k: int
    r: int
    s: int
    stride: tuple[int, int] = (1, 1)
    pad: tuple[tuple[int, int], tuple[int, int]] = ((0, 0), (0, 0))
    dilation: tuple[int, int] = (1, 1)
    bias: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        shape = (self.h, self.w, self.c, self.k, self.r, self.s)
        self.check_size("h, w, c, k, r, s", shape)

    @property
    def convolution(self) -> Convolution:
        return Convolution.of(
            h=self.h,
            w=self.w,
            c=self.c,
            k=self.k,
            r=self.r,
            s=self.s,
            stride=self.stride,
            pad=self.pad,
            dilation=self.dilation,
        )

    @property
    def title(self) -> str:
        shape = f"{self.h}x{self.w}x{self.c} to {self.k}, {self.r}x{self.s}"
        stride = "" if self.stride == (1, 1) else " by {}x{}".format(*self.stride)
        return f"conv {shape}{stride}"

    @property
    def bytes(self) -> int:
        rows, columns, filters = self.convolution.outputs
        image, weights = self.h * self.w * self.c, self.r * self.s * self.c * self.k
        results = np.dtype(self.out).itemsize * rows * columns * filters
        return image + weights + results + 4 * filters * self.bias

    @property
    def macs(self) -> int:
        return self.convolution.macs

    def steps(self, array: ArrayConfig) -> int:
        rows, columns, filters = self.convolution.outputs
        tiles = rows * -(-columns // array.mu) * -(-filters // array.nu)
        return tiles * self.r * -(-self.s * self.c // array.ku)

    def as_dict(self) -> dict[str, Any]:
        return {
            "kind": "conv",
            "h": self.h,
            "w": self.w,
            "c": self.c,
            "k": self.k,
            "r": self.r,
            "s": self.s,
            "stride": list(self.stride),
            "pad": [list(pair) for pair in self.pad],
            "dilation": list(self.dilation),
            "bias": self.bias,
            "layout": "nhwc",
            "out": self.out,
            "seed": self.seed,
        }

    def begin(self, device: Device) -> Trial:
        random = np.random.default_rng(self.seed)
        image = filled(device, (self.h, self.w, self.c), np.int8, random)
        weights = filled(device, (self.r, self.s, self.c, self.k), np.int8, random)
        out = device.allocate(self.convolution.outputs, self.out)
        bias = filled(device, (self.k,), np.int32, random) if self.bias else None
        zeros, quantization = {}, None
        if self.out == "int8":
            terms = self.r * self.s * self.c
            quantization = any_rescaling(random, device, terms=terms, columns=self.k)
            zeros = {"zero_a": quantization.zero_a, "zero_b": quantization.zero_b}
            if bias is not None:
                bias >>= SMALL_ADDENDS
        expected: npt.NDArray[Any] = convolve(
            image,
            weights,
            stride=self.stride,
            pad=self.pad,
            dilation=self.dilation,
            addend=bias,
            **zeros,
        )
        if quantization is not None:
            expected = rescaled(expected, quantization)
        operands = {"image": image, "weights": weights} | ({} if bias is None else {"bias": bias})
        return Trial(
            operands=operands,
            run=lambda: device.conv(
                image,
                weights,
                out,
                stride=self.stride,
                pad=self.pad,
                dilation=self.dilation,
                bias=bias,
                quantization=quantization,
            ),
            out=out,
            expected=expected,
        )
