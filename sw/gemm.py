"""How a tile of a matrix product maps onto the accelerator: passes and their loops.

Pure functions of the configuration and the shape; nothing here talks to a device.
"""

from __future__ import annotations

from dataclasses import dataclass

from .array_pass import operator_word
from .blocked import BlockedLayout
from .descriptor import BufferDescriptor
from .gemm_layout import GemmLayouts, TileShape
from .placement import bound_mover
from .residency import Use

__all__ = ["GemmMapper", "GemmProblem", "GemmTask"]


@dataclass(frozen=True, kw_only=True)
class GemmProblem:
    """A matrix product.

    Parameters
    ----------
    shape
        Its extents.
    with_c
        Whether it adds to something in memory.
    to_d, to_e
        Whether its results are int32, and whether they are int8.
    """

    shape: TileShape
    with_c: bool = False
    to_d: bool = True
    to_e: bool = False

    @property
    def sums(self) -> bool:
        """Whether there is a C or a D in memory."""
        return self.with_c or self.to_d


@dataclass(frozen=True, kw_only=True)
class GemmTask:
    """One pass of the array over a tile.

    Parameters
    ----------
    m, n, k
        First row, column and depth of the tile.
    shape
        Its extents, ragged at the edges.
    a, b, d
        Where its operands and its result stand, and whether this pass is the first and the last
        that uses them. Of D that is the accumulation over K.
    """

    m: int
    n: int
    k: int
    shape: TileShape
    a: Use
    b: Use
    d: Use


class GemmMapper(GemmLayouts):
    """The mapping for one configuration."""

    def steps(self, shape: TileShape) -> int:
        """Steps that the array needs for a tile, bubbles excluded."""
        down, across, deep = self._counts(shape)
        return down * across * deep

    def cycles(self, shape: TileShape) -> int:
        """Cycles of the array for a tile: a beat of the result takes mu to come out."""
        down, across, deep = self._counts(shape)
        return down * across * max(deep, self.array.mu)

    def streams(
        self,
        shape: TileShape,
        *,
        with_c: bool,
        first: bool = True,
        to_d: bool = True,
        to_e: bool = False,
        zero_points: tuple[int, int] = (0, 0),
        regions: tuple[int, int, int] = (0, 0, 0),
    ) -> dict[str, BufferDescriptor]:
        """Descriptors of the movers at the array by port, in the order in which to push them.

        The operands come first, so that the result's mover is still being told while the array
        works, and of them C last, as it is loaded. ``array.c`` is there only `with_c`: the first
        time C itself, then a partial D. The ports of a result are there only where it is wanted.
        `zero_points` are those of A and B, `regions` those of A, B and D, with which E and S go.
        """
        memory = self.config.memory
        down, across, deep = self._counts(shape)
        a, b = self.layout_a(shape, regions[0]), self.layout_b(shape, regions[1])
        d = self.layout_d(shape, regions[2])
        a_down, a_deep = a.row_pitch, a.tile_pitch
        b_deep, b_across = b.row_pitch, b.tile_pitch
        if self.transposed("a"):
            a_down, a_deep = a_deep, a_down
        if self.transposed("b"):
            b_deep, b_across = b_across, b_deep
        c = d
        walk_c = walk_d = ((across, d.tile_pitch), (down, d.row_pitch))
        extensions = {f"array.{name}": ("transposer",) for name in "ab" if self.transposed(name)}
        channels = {}
        if self.form.row_c and first:
            c = self.layout_row_c(shape, regions[2])
            walk_c = ((across, c.tile_pitch), (down, 0))
            extensions["array.c"] = ("broadcaster",)
            channels["array.c"] = self.row_c_channels
        walks: dict[str, tuple[BlockedLayout, tuple[tuple[int, int], ...]]] = {
            "array.a": (a, ((deep, a_deep), (across, 0), (down, a_down))),
            "array.b": (b, ((deep, b_deep), (across, b_across), (down, 0))),
        }
        if to_e:
            walks["array.s"] = self.walk_s(shape, regions[2], across=across, again=down)
        if with_c:
            walks["array.c"] = (c, walk_c)
        if to_d:
            walks["array.d"] = (d, walk_d)
        if to_e:
            e = self.layout_e(shape, regions[2])
            walks["array.e"] = (e, ((across, e.tile_pitch), (down, e.row_pitch)))
        word = operator_word(with_c=with_c, to_d=to_d, to_e=to_e, zero_points=zero_points)
        return {
            port: layout.by_tiles(
                memory,
                bound_mover(self.config, port),
                loops,
                operator=word if port == "array.a" else 0,
                extensions=extensions.get(port, ()),
                channels=channels.get(port),
            )
            for port, (layout, loops) in walks.items()
        }

    def _counts(self, shape: TileShape) -> tuple[int, int, int]:
        array = self.array
        return -(-shape.m // array.mu), -(-shape.n // array.nu), -(-shape.k // array.ku)
