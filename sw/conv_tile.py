"""What a convolution is cut into: tiles of one shape, and passes of the array over them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from .convolution import Convolution
from .pieces import kinds
from .residency import Use

__all__ = ["ConvShape", "ConvTask", "ConvTile"]


@dataclass(frozen=True, kw_only=True)
class ConvShape:
    """Extents of a tile: output rows, columns and filters; rows, columns and channels of the
    kernel."""

    rows: int
    columns: int
    filters: int
    down: int
    across: int
    channels: int

    @property
    def first(self) -> ConvTile:
        """The tile of that shape at the beginning of everything."""
        return ConvTile(
            rows=range(self.rows),
            columns=range(self.columns),
            filters=range(self.filters),
            down=range(self.down),
            across=range(self.across),
            channels=range(self.channels),
        )

    def kinds(self, problem: Convolution, axes: Sequence[str]) -> Iterator[tuple[ConvShape, int]]:
        """Shapes of the tiles of `problem` along some of its axes, this one's along the others, and
        how many there are of each."""
        extents = {
            "rows": problem.rows.outputs,
            "columns": problem.columns.outputs,
            "filters": problem.filters,
            "down": problem.rows.kernel,
            "across": problem.columns.kernel,
            "channels": problem.channels,
        }
        lengths = [kinds(extents[axis], getattr(self, axis)) for axis in axes]
        for each in itertools.product(*lengths):
            found = {axis: length for axis, (length, _) in zip(axes, each, strict=True)}
            yield replace(self, **found), math.prod(count for _, count in each)


@dataclass(frozen=True, kw_only=True)
class ConvTile:
    """What a pass computes: some outputs, through some of the kernel."""

    rows: range
    columns: range
    filters: range
    down: range
    across: range
    channels: range

    @cached_property
    def shape(self) -> ConvShape:
        return ConvShape(
            rows=len(self.rows),
            columns=len(self.columns),
            filters=len(self.filters),
            down=len(self.down),
            across=len(self.across),
            channels=len(self.channels),
        )


@dataclass(frozen=True, kw_only=True)
class ConvTask:
    """One pass of the array over a tile.

    Parameters
    ----------
    tile
        What it computes.
    a, b, d
        As of :class:`~weft.sw.gemm.GemmTask`: image, weights and result.
    """

    tile: ConvTile
    a: Use
    b: Use
    d: Use
