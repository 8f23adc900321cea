"""How a matrix product maps onto the accelerator: placement, tile sizes, layouts, loops.

Pure functions of the configuration and the shape; nothing here talks to a device. A lies in the
scratchpad as [M/mu][K/ku] tiles of mu x ku operands, B as [K/ku][N/nu] tiles of ku x nu, D as
[M/mu][N/nu] tiles of mu x nu accumulators. C is loaded where D will be written: the array reads a
tile of C before it can write that tile of D.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..hw.agu.row import BOUND_BITS
from ..hw.config import AcceleratorConfig, ArrayConfig, MoverConfig
from .blocked import BlockedLayout
from .descriptor import BufferDescriptor
from .errors import MappingError

__all__ = ["GemmMapper", "GemmTask", "Region", "TileShape", "place"]

MAX_ROWS = (1 << BOUND_BITS) - 1
"""Rows of a matrix that one descriptor loop walks."""


@dataclass(frozen=True, kw_only=True)
class Region:
    """A piece of the scratchpad's linear address space in one addressing mode."""

    base: int
    size: int
    mode: int
    group: int
    """Banks a group in that mode."""


@dataclass(frozen=True, kw_only=True)
class TileShape:
    """Extents of a tile, in elements."""

    m: int
    n: int
    k: int


@dataclass(frozen=True, kw_only=True)
class GemmTask:
    """One pass of the array over a tile.

    Parameters
    ----------
    m, n, k
        First row, column and depth of the tile.
    shape
        Its extents, ragged at the edges.
    load_a, load_b
        Whether the operand is not in the scratchpad already.
    first, last
        Whether it begins and ends the accumulation over K of its D tile.
    """

    m: int
    n: int
    k: int
    shape: TileShape
    load_a: bool
    load_b: bool
    first: bool
    last: bool


def place(config: AcceleratorConfig) -> tuple[Region, Region, Region]:
    """Regions of A, B and D.

    A and B get a quarter of the banks each and D, which C shares, a half, so that no two of them
    meet at a bank; without such modes (or with movers that cannot reach so) they follow one another
    in the most interleaved mode.
    """
    memory, quarter, half = config.memory, config.memory.banks // 4, config.memory.banks // 2
    reach = {port: _bound(config, f"array.{port}").reach for port in "abcd"}
    apart = (
        quarter in memory.groups
        and half in memory.groups
        and max(reach["a"], reach["b"]) <= quarter
        and max(reach["c"], reach["d"]) <= half
    )
    groups = (quarter, quarter, half) if apart else (max(memory.groups),) * 3
    a, b, d = (
        Region(
            base=base * memory.bytes // 4,
            size=size * memory.bytes // 4,
            mode=memory.groups.index(group),
            group=group,
        )
        for base, size, group in zip((0, 1, 2), (1, 1, 2), groups, strict=True)
    )
    return a, b, d


class GemmMapper:
    """The mapping for one configuration.

    Parameters
    ----------
    config
        A system with an array and a DMA.

    Raises
    ------
    MappingError
        The configuration lacks one of them.
    """

    def __init__(self, config: AcceleratorConfig) -> None:
        if config.array is None or config.dma is None:
            raise MappingError(f"configuration {config.name} has no array with a DMA to feed it")
        self.config = config
        self.array: ArrayConfig = config.array
        self.beat = config.dma.data_bytes
        self.operand = config.array.operand_bits // 8
        self.accumulator = config.array.accumulator_bits // 8
        self.region_a, self.region_b, self.region_d = place(config)

    def layout_a(self, shape: TileShape) -> BlockedLayout:
        rows, width = self.array.mu, self.array.ku * self.operand
        return self._layout(self.region_a, "a", rows, width, shape.m, shape.k * self.operand)

    def layout_b(self, shape: TileShape) -> BlockedLayout:
        rows, width = self.array.ku, self.array.nu * self.operand
        return self._layout(self.region_b, "b", rows, width, shape.k, shape.n * self.operand)

    def layout_d(self, shape: TileShape) -> BlockedLayout:
        rows, width = self.array.mu, self.array.nu * self.accumulator
        return self._layout(self.region_d, "d", rows, width, shape.m, shape.n * self.accumulator)

    def fits(self, shape: TileShape) -> bool:
        """Whether the tile's operands and result fit their regions."""
        return (
            self.layout_a(shape).bytes <= self.region_a.size
            and self.layout_b(shape).bytes <= self.region_b.size
            and self.layout_d(shape).bytes <= self.region_d.size
        )

    def tile_shape(self, M: int, N: int, K: int) -> TileShape:
        """The tile for a product: as much of K as fits, then M and N for the least DRAM traffic.

        Raises
        ------
        MappingError
            Not even a tile of one array step fits the scratchpad.
        """
        mu, nu, ku = self.array.mu, self.array.nu, self.array.ku
        wide_k, wide_n = math.lcm(self.beat, ku), math.lcm(self.beat, nu)
        depths = _candidates(K, ku, wide_k, self.region_a.size)
        k = _largest(depths, lambda k: self.fits(TileShape(m=1, n=1, k=k)))
        if k is None:
            raise MappingError(
                f"a scratchpad of {self.config.memory.bytes} bytes holds no tile of "
                f"{mu}x{nu}x{ku} in beats of {self.beat} bytes"
            )
        best: tuple[tuple[int, int], TileShape] | None = None
        columns = _candidates(N, nu, wide_n, self.region_d.size)
        for m in _candidates(M, mu, mu, self.region_d.size):
            n = _largest(columns, lambda n, m=m: self.fits(TileShape(m=m, n=n, k=k)))  # type: ignore[misc]
            if n is None:
                break
            down, across, chunks = -(-M // m), -(-N // n), -(-K // k)
            loads_a = across if chunks > 1 else 1
            loads_b = down if chunks > 1 or across > 1 else 1
            cost = (M * K * loads_a + K * N * loads_b, down * across)
            if best is None or cost < best[0]:
                best = cost, TileShape(m=m, n=n, k=k)
        assert best is not None, "the smallest tile was seen to fit"
        return best[1]

    def tasks(self, M: int, N: int, K: int) -> list[GemmTask]:
        """The array's tasks in order: rows of D tiles, and all of K for a tile before the next."""
        tile = self.tile_shape(M, N, K)
        tasks: list[GemmTask] = []
        at_a: tuple[int, int] | None = None
        at_b: tuple[int, int] | None = None
        for m in range(0, M, tile.m):
            for n in range(0, N, tile.n):
                for k in range(0, K, tile.k):
                    shape = TileShape(
                        m=min(tile.m, M - m), n=min(tile.n, N - n), k=min(tile.k, K - k)
                    )
                    tasks.append(
                        GemmTask(
                            m=m,
                            n=n,
                            k=k,
                            shape=shape,
                            load_a=at_a != (m, k),
                            load_b=at_b != (k, n),
                            first=k == 0,
                            last=k + tile.k >= K,
                        )
                    )
                    at_a, at_b = (m, k), (k, n)
        return tasks

    def steps(self, shape: TileShape) -> int:
        """Steps that the array needs for a tile, bubbles excluded."""
        down, across, deep = self._counts(shape)
        return down * across * deep

    def streams(self, shape: TileShape, *, with_c: bool) -> dict[str, BufferDescriptor]:
        """Descriptors of the movers at the array by port, in the order in which to push them.

        The operands come first, so that the result's mover is still being told while the array
        works; ``array.c`` is there only `with_c`.
        """
        memory = self.config.memory
        down, across, deep = self._counts(shape)
        a, b, d = self.layout_a(shape), self.layout_b(shape), self.layout_d(shape)
        walk_d = ((across, d.tile_pitch), (down, d.row_pitch))
        walks = {
            **({"array.c": (d, walk_d)} if with_c else {}),
            "array.a": (a, ((deep, a.tile_pitch), (across, 0), (down, a.row_pitch))),
            "array.b": (b, ((deep, b.row_pitch), (across, b.tile_pitch), (down, 0))),
            "array.d": (d, walk_d),
        }
        return {
            port: layout.by_tiles(
                memory,
                _bound(self.config, port),
                loops,
                operator=int(with_c and port == "array.a"),
            )
            for port, (layout, loops) in walks.items()
        }

    def _counts(self, shape: TileShape) -> tuple[int, int, int]:
        array = self.array
        return -(-shape.m // array.mu), -(-shape.n // array.nu), -(-shape.k // array.ku)

    def _layout(
        self, region: Region, port: str, rows: int, width: int, height: int, row_bytes: int
    ) -> BlockedLayout:
        """Tiles of `rows` x `width` bytes for a matrix of `height` x `row_bytes`.

        Rows are padded to whole beats of the DMA. A beat that spans several tiles meets the same
        banks in each of them, and so do all beats of a row, unless the pitch shifts them. (Rows of
        one beat need no shift: the channels' FIFOs let several rows be under way.) So where rows
        are longer, and the region has room, a tile is followed by as little space as the reach of
        the array's mover allows.
        """
        word = self.config.memory.word_bytes
        whole = math.lcm(self.beat, width)
        down, across = -(-height // rows), -(-row_bytes // whole) * whole // width
        tile = rows * width
        shift = max(_bound(self.config, f"array.{port}").reach, 1)
        padded = tile + shift * word
        shifts = shift % region.group != 0
        spread = width < self.beat < across * width and shifts
        roomy = down * across * padded <= region.size
        return BlockedLayout(
            base=region.base,
            mode=region.mode,
            tile_rows=rows,
            tile_row_bytes=width,
            tile_pitch=padded if spread and roomy else tile,
            tiles_down=down,
            tiles_across=across,
        )


def _bound(config: AcceleratorConfig, port: str) -> MoverConfig:
    mover = config.bound_to(port)
    if mover is None:
        raise MappingError(f"configuration {config.name} has no mover for {port}")
    return mover


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
