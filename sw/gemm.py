"""How a matrix product maps onto the accelerator: tile sizes, passes, loops.

Pure functions of the configuration and the shape; nothing here talks to a device.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..hw.agu.row import BOUND_BITS
from ..hw.config import AcceleratorConfig
from .array_pass import operator_word
from .blocked import BlockedLayout
from .descriptor import BufferDescriptor
from .errors import MappingError
from .gemm_layout import GemmForm, GemmLayouts, TileShape
from .placement import Placement, bound_mover
from .residency import Use, residency

__all__ = ["GemmMapper", "GemmTask"]

RUN = 3
"""Half cycles that a run in DRAM takes at least, however short, with as many as the DMA has under
way."""

MAX_ROWS = (1 << BOUND_BITS) - 1
"""Rows of a matrix that one descriptor loop walks."""


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

    @classmethod
    def for_product(
        cls,
        config: AcceleratorConfig,
        M: int,
        N: int,
        K: int,
        form: GemmForm | None = None,
        *,
        to_e: bool = False,
        sums: bool = True,
    ) -> GemmMapper:
        """The mapper for a product: with all of the scratchpad for its only tile, or with half of
        it for each of two at a time.

        Parameters
        ----------
        to_e
            Whether there is to be room for E and S as well.
        sums
            Whether there is a C or a D in memory. If not, there is no room for one where a tile
            takes all of K.

        Raises
        ------
        MappingError
            Not even a tile of one array step fits the scratchpad, or as the constructor.
        """

        def mappers(sums: bool) -> list[GemmMapper]:
            placements = [Placement.single(config), Placement.double(config)]
            if to_e:
                placements = [place.quantized(sums=sums) for place in placements]
            return [cls(config, placement, form) for placement in placements]

        whole = TileShape(m=M, n=N, k=K)
        single, double = mappers(sums=True)
        if single.fits(whole):
            return single
        if not sums:
            wider, deeper = mappers(sums=False)
            if wider.fits(whole):
                return wider
            if deeper.deepest(K) == K:
                return deeper
        return single if double.deepest(K) is None else double

    def deepest(self, K: int) -> int | None:
        """As much of K as a tile can have; None if the smallest tile does not fit."""
        ku = self.array.ku
        along = self._transposed("b") or not self._transposed("a")  # K runs along rows in DRAM
        wide = math.lcm(self.beat, ku) if along else ku
        depths = _candidates(K, ku, wide, self.placement.a[0].size)
        return _largest(depths, lambda k: self.fits(TileShape(m=1, n=1, k=k)))

    def tile_shape(self, M: int, N: int, K: int) -> TileShape:
        """The tile for a product: as much of K as fits, then M and N for the least work of the DMA.

        Raises
        ------
        MappingError
            Not even a tile of one array step fits the scratchpad.
        """
        mu, nu, ku = self.array.mu, self.array.nu, self.array.ku
        wide_n = math.lcm(self.beat, nu)
        wide_m = math.lcm(self.beat, mu) if self._transposed("a") else mu
        k = self.deepest(K)
        if k is None:
            raise MappingError(
                f"a scratchpad of {self.config.memory.bytes} bytes holds no tile of "
                f"{mu}x{nu}x{ku} in beats of {self.beat} bytes"
            )
        best: tuple[tuple[int, int], TileShape] | None = None
        placed = (self.placement.d, self.placement.e)
        room = max(regions[0].size for regions in placed if regions)
        columns = _candidates(N, nu, wide_n, room)
        for m in _candidates(M, mu, wide_m, room):
            n = _largest(columns, lambda n, m=m: self.fits(TileShape(m=m, n=n, k=k)))  # type: ignore[misc]
            if n is None:
                break
            down, across, chunks = -(-M // m), -(-N // n), -(-K // k)
            loads_a = across if chunks > len(self.placement.a) else 1
            loads_b = down if across * chunks > len(self.placement.b) else 1
            tile = TileShape(m=m, n=n, k=k)
            moved = (
                loads_a * self._moved("a", (M, m), (K, k), self.operand)
                + loads_b * self._moved("b", (K, k), (N, n), self.operand)
                + self._moved("d", (M, m), (N, n), self.accumulator)
            )
            if best is None or (moved, down * across) < best[0]:
                best = (moved, down * across), tile
        assert best is not None, "the smallest tile was seen to fit"
        return best[1]

    def tasks(self, M: int, N: int, K: int) -> list[GemmTask]:
        """The array's tasks in order: rows of D tiles, and all of K for a tile before the next."""
        tile = self.tile_shape(M, N, K)
        places = [
            (m, n, k)
            for m in range(0, M, tile.m)
            for n in range(0, N, tile.n)
            for k in range(0, K, tile.k)
        ]
        uses = zip(
            residency([(m, k) for m, _, k in places], len(self.placement.a)),
            residency([(n, k) for _, n, k in places], len(self.placement.b)),
            residency([(m, n) for m, n, _ in places], len(self.placement.d)),
            strict=True,
        )
        return [
            GemmTask(
                m=m,
                n=n,
                k=k,
                shape=TileShape(m=min(tile.m, M - m), n=min(tile.n, N - n), k=min(tile.k, K - k)),
                a=a,
                b=b,
                d=d,
            )
            for (m, n, k), (a, b, d) in zip(places, uses, strict=True)
        ]

    def _moved(
        self, operand: str, rows: tuple[int, int], columns: tuple[int, int], size: int
    ) -> int:
        """Half cycles in which the DMA moves all of an operand of `size` bytes an element once.

        Rows and columns are those of the matrix, and of a tile.
        """
        if self._transposed(operand):
            rows, columns = columns, rows
        extent, piece = columns
        lengths = [min(piece, extent - start) * size for start in range(0, extent, piece)]
        return rows[0] * sum(max(2 * -(-length // self.beat), RUN) for length in lengths)

    def steps(self, shape: TileShape) -> int:
        """Steps that the array needs for a tile, bubbles excluded."""
        down, across, deep = self._counts(shape)
        return down * across * deep

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
        if self._transposed("a"):
            a_down, a_deep = a_deep, a_down
        if self._transposed("b"):
            b_deep, b_across = b_across, b_deep
        c = d
        walk_c = walk_d = ((across, d.tile_pitch), (down, d.row_pitch))
        extensions = {f"array.{name}": ("transposer",) for name in "ab" if self._transposed(name)}
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


def _candidates(extent: int, fine: int, coarse: int, most: int) -> list[int]:
    """Tile extents worth trying, ascending: multiples of `fine` below `coarse`, then of `coarse`.

    The last is `extent` itself where it is no larger than `most` and than a loop can count.
    """
    most = min(extent, most, MAX_ROWS // coarse * coarse or MAX_ROWS)
    values = {*range(fine, min(coarse, most), fine), *range(coarse, most + 1, coarse)}
    return sorted(values | ({extent} if extent <= most else set()))


def _largest(values: Sequence[int], fits: Callable[[int], bool]) -> int | None:
    """The largest of ascending `values` that fits, given that every smaller one then does too."""
    low, high = 0, len(values)
    while low < high:
        middle = (low + high) // 2
        if fits(values[middle]):
            low = middle + 1
        else:
            high = middle
    return values[low - 1] if low else None
