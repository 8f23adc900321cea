"""What the DMA has to do for the tiles of a matrix product, in cycles and beats."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import replace

from ..hw.config import PARAMETER_BITS
from .bands import by_bands
from .blocked import BlockedLayout
from .gemm import GemmMapper, GemmProblem
from .gemm_layout import TileShape
from .overlap import Moved
from .pieces import cuts
from .runs import Span, part_cycles
from .transfer import DmaPair

__all__ = ["GemmMoves"]


class GemmMoves:
    """The loads and stores of one problem.

    Operands are called ``a``, ``b``, ``c``, ``s``, ``d`` and ``e``. Matrices are counted on to lie
    densely in DRAM, from the border of a beat on.

    Parameters
    ----------
    mapper
        The mapping.
    problem
        The product.
    """

    def __init__(self, mapper: GemmMapper, problem: GemmProblem) -> None:
        self._mapper = mapper
        self._problem = problem
        self._pairs = {
            name: DmaPair.find(mapper.config, "s2mm" if name in "de" else "mm2s")
            for name in "abcsde"
        }
        m, n, k = problem.shape.m, problem.shape.n, problem.shape.k
        rows_c = 1 if mapper.form.row_c else m
        # Rows, columns and bytes of an element.
        self._matrices = {
            "a": (m, k, mapper.operand),
            "b": (k, n, mapper.operand),
            "c": (rows_c, n, mapper.accumulator),
            "s": (1, n, PARAMETER_BITS // 8),
            "d": (m, n, mapper.accumulator),
            "e": (m, n, mapper.operand),
        }
        for name in "ab":
            if mapper.transposed(name):
                rows, columns, size = self._matrices[name]
                self._matrices[name] = columns, rows, size
        self._found: dict[tuple[str, int, int, int, int], Moved] = {}
        self._sums: dict[tuple[str, int, int], Moved] = {}

    def of_tile(self, name: str, shape: TileShape, piece: TileShape) -> Moved:
        """For an operand of a tile; all tiles begin at multiples of `piece`."""
        key = name, *self._extents(name, shape), *self._extents(name, piece)
        if key not in self._found:
            self._found[key] = self._moved(name, shape, piece)
        return self._found[key]

    def of_all(self, name: str, piece: TileShape) -> Moved:
        """For an operand of every tile once, C, S and the results of every result."""
        along = {"a": "mk", "b": "kn"}.get(name, "mn")
        extents = [getattr(piece, axis) for axis in along]
        key = name, *extents
        if key not in self._sums:
            kinds = [
                Counter(map(len, cuts(getattr(self._problem.shape, axis), extent))).items()
                for axis, extent in zip(along, extents, strict=True)
            ]
            cycles, beats = 0.0, 0
            for (first, some), (second, more) in itertools.product(*kinds):
                shape = replace(piece, **dict(zip(along, (first, second), strict=True)))
                moved = self.of_tile(name, shape, piece)
                cycles += some * more * moved.least
                beats += some * more * moved.beats
            self._sums[key] = Moved("d" if name == "c" else name, cycles, beats)
        return self._sums[key]

    def _extents(self, name: str, shape: TileShape) -> tuple[int, int]:
        """Rows and columns of an operand of a tile, as it lies in DRAM."""
        m, n, k = shape.m, shape.n, shape.k
        if name in "ab":
            extents = (m, k) if name == "a" else (k, n)
            return extents[::-1] if self._mapper.transposed(name) else extents
        return min(self._matrices[name][0], m), n

    def _layout(self, name: str, shape: TileShape) -> BlockedLayout:
        mapper = self._mapper
        match name:
            case "a":
                return mapper.layout_a(shape)
            case "b":
                return mapper.layout_b(shape)
            case "s":
                return mapper.layout_s(shape)
            case "e":
                return mapper.layout_e(shape)
            case "c" if mapper.form.row_c:
                return mapper.layout_row_c(shape)
        return mapper.layout_d(shape)

    def _moved(self, name: str, shape: TileShape, piece: TileShape) -> Moved:
        (rows, columns), units = self._extents(name, shape), self._extents(name, piece)
        down, across, size = self._matrices[name]
        pair, beat = self._pairs[name], self._mapper.beat
        layout = self._layout(name, shape)
        spans = [
            Span(whole=down, count=rows, padded=layout.rows, unit=units[0]),
            Span(whole=across, count=columns, padded=layout.row_bytes // size, unit=units[1]),
        ]
        # Whole rows continue one another.
        apart = columns < across or columns * size < layout.row_bytes
        banded = apart and by_bands(self._mapper.config.memory, pair, layout)
        return Moved(
            "d" if name == "c" else name,
            part_cycles(spans, element=size, beat=beat, piece=beat if banded else None),
            layout.rows * layout.row_bytes // beat,
        )
