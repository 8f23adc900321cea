"""What a convolution is, and which pixels of the image a piece of it needs.

Pure arithmetic of one axis at a time: rows and columns differ in nothing here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from .errors import MappingError

__all__ = ["Axis", "Convolution", "Reach"]


@dataclass(frozen=True, kw_only=True)
class Reach:
    """The indices of an axis that some outputs need through some taps of the kernel.

    Those inside the image are ``first + step * j`` for j from 0 to `count` less one. Output number
    o of those asked for needs j = ``start + o * output_step + t * tap_step`` for its tap number t;
    one that lies outside the image has a j outside [0, `count`).
    """

    first: int
    step: int
    count: int
    start: int
    output_step: int
    tap_step: int


@dataclass(frozen=True, kw_only=True)
class Axis:
    """Rows, or columns: ``image[output * stride + tap * dilation - before]``.

    Parameters
    ----------
    size, kernel
        Extents of the image and of the kernel.
    stride, dilation
        Steps from output to output, and from tap to tap.
    before, after
        Zeros that stand before and after the image, and nowhere in memory.

    Raises
    ------
    MappingError
        One is out of range, or the kernel does not fit the padded image.
    """

    name: str
    size: int
    kernel: int
    stride: int = 1
    dilation: int = 1
    before: int = 0
    after: int = 0

    def __post_init__(self) -> None:
        for field, least in (
            ("size", 1),
            ("kernel", 1),
            ("stride", 1),
            ("dilation", 1),
            ("before", 0),
            ("after", 0),
        ):
            value = getattr(self, field)
            if value < least:
                raise MappingError(f"{self.name}: {field} = {value}: must be at least {least}")
        if self.extent > self.padded:
            raise MappingError(
                f"{self.name}: a kernel of {self.kernel} with dilation {self.dilation} covers "
                f"{self.extent}, the image with its padding only {self.padded}"
            )

    @property
    def extent(self) -> int:
        """What a kernel covers."""
        return (self.kernel - 1) * self.dilation + 1

    @property
    def padded(self) -> int:
        return self.before + self.size + self.after

    @property
    def outputs(self) -> int:
        return (self.padded - self.extent) // self.stride + 1

    def steps(self, outputs: int, taps: int) -> tuple[int, int, int]:
        """For so many neighbouring outputs and taps: the step of the indices that they need, and
        how far apart outputs and taps are in such steps."""
        output_step = self.stride if outputs > 1 else 0
        tap_step = self.dilation if taps > 1 else 0
        step = math.gcd(output_step, tap_step) or 1
        return step, output_step // step, tap_step // step

    def most(self, outputs: int, taps: int) -> int:
        """Indices that no piece of so many outputs and taps needs more than."""
        step, output_step, tap_step = self.steps(outputs, taps)
        span = (outputs - 1) * output_step + (taps - 1) * tap_step
        return min(span + 1, -(-self.size // step))

    def reach(self, outputs: range, taps: range) -> Reach:
        """What `outputs` need through `taps`; one index that nobody needs, if it is nothing."""
        step, output_step, tap_step = self.steps(len(outputs), len(taps))
        lowest = outputs.start * self.stride + taps.start * self.dilation - self.before
        # Of each tap, those j in the image; outputs among them are `every` steps apart.
        low, high, every = -(lowest // step), (self.size - 1 - lowest) // step, output_step or 1
        needed = []
        for shift in (tap * tap_step for tap in range(len(taps))):
            first, last = max(-((shift - low) // every), 0), (high - shift) // every
            if first <= (last := min(last, len(outputs) - 1)):
                needed += [first * every + shift, last * every + shift]
        if not needed:
            return Reach(
                first=0, step=1, count=1, start=1, output_step=output_step, tap_step=tap_step
            )
        begin, end = min(needed), max(needed)
        return Reach(
            first=lowest + begin * step,
            step=step,
            count=end - begin + 1,
            start=-begin,
            output_step=output_step,
            tap_step=tap_step,
        )


@dataclass(frozen=True, kw_only=True)
class Convolution:
    """``out[y, x, k] = sum(image[rows(y, r), columns(x, s), c] * weights[r, s, c, k])``.

    Parameters
    ----------
    rows, columns
        The axes.
    channels, filters
        Channels of the image, and of the result.
    """

    rows: Axis
    columns: Axis
    channels: int
    filters: int

    def __post_init__(self) -> None:
        for name in ("channels", "filters"):
            if getattr(self, name) < 1:
                raise MappingError(f"{name} = {getattr(self, name)}: must be at least 1")

    @classmethod
    def of(
        cls,
        *,
        h: int,
        w: int,
        c: int,
        k: int,
        r: int,
        s: int,
        stride: int | Sequence[int] = 1,
        pad: int | Sequence[int | Sequence[int]] = 0,
        dilation: int | Sequence[int] = 1,
    ) -> Self:
        """By the field's letters.

        `stride` and `dilation` are one number, or one a row and one a column. So is `pad`, and each
        of its two may be a pair: before and after.
        """
        strides, dilations = _pair("stride", stride), _pair("dilation", dilation)
        pads: Sequence[int | Sequence[int]] = (pad, pad) if isinstance(pad, int) else pad
        if len(pads) != 2:
            raise MappingError(f"pad = {pad}: must be one number, or one for rows and columns")
        axes = []
        for index, (name, size, kernel) in enumerate((("rows", h, r), ("columns", w, s))):
            before, after = _pair("pad", pads[index])
            axes.append(
                Axis(
                    name=name,
                    size=size,
                    kernel=kernel,
                    stride=strides[index],
                    dilation=dilations[index],
                    before=before,
                    after=after,
                )
            )
        return cls(rows=axes[0], columns=axes[1], channels=c, filters=k)

    @property
    def outputs(self) -> tuple[int, int, int]:
        """Shape of the result."""
        return self.rows.outputs, self.columns.outputs, self.filters

    @property
    def macs(self) -> int:
        """Multiply-accumulates, those with padding included."""
        kernel = self.rows.kernel * self.columns.kernel
        return math.prod(self.outputs) * kernel * self.channels

    def windowed(self) -> Convolution | None:
        """The same sums with what a kernel row covers as one pixel of so many more channels.

        Its image overlaps itself: pixel x begins `stride` pixels after the one before it, and has
        no padding between columns, because what it covers beyond a row is zero. None where a kernel
        row is no run of neighbours.
        """
        if self.columns.kernel == 1 or self.columns.dilation > 1:
            return None
        columns = Axis(name="columns", size=self.columns.outputs, kernel=1)
        return Convolution(
            rows=self.rows,
            columns=columns,
            channels=self.columns.kernel * self.channels,
            filters=self.filters,
        )


def _pair(name: str, value: int | Sequence[int]) -> tuple[int, int]:
    if isinstance(value, int):
        return value, value
    if len(value) != 2:
        raise MappingError(f"{name} = {value}: must be one number or two")
    return value[0], value[1]
