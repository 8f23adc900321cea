"""A convolution as passes of the array."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from .array_pass import ArrayPass, Move
from .blocked import BlockedLayout
from .conv_tile import ConvTile
from .conv_tiling import ConvPlan
from .descriptor import BufferDescriptor, Guard
from .lower import lower
from .memref import MemRef
from .residency import Use
from .results import load_parameters
from .transfer import DmaPair

__all__ = ["ConvPasses"]


class ConvPasses:
    """The passes of a plan in order.

    Parameters
    ----------
    plan
        The tiles.
    image
        [row][column][channel], the channels of a pixel contiguous; for a windowed plan the pixels
        of a row as well.
    weights
        [row][column][channel][filter], the filters contiguous; for a windowed plan what a kernel
        row covers as well.
    c, d, e
        [row][column][filter], the filters contiguous; c may be [filter] where the plan's C is one
        row, and d or e may be absent, but not both.
    parameters
        What e's filters are rescaled with, as one row of bytes.
    zero_points
        Of image and weights. That of the image stands in all that pads it, which so adds nothing.
    before
        Zeros before the columns of the image.
    """

    def __init__(
        self,
        plan: ConvPlan,
        *,
        image: MemRef,
        weights: MemRef,
        c: MemRef | None = None,
        d: MemRef | None,
        e: MemRef | None = None,
        parameters: MemRef | None = None,
        zero_points: tuple[int, int] = (0, 0),
        stride: int,
        before: int,
    ) -> None:
        self.plan = plan
        self.mapper = plan.mapper
        self.image, self.weights = image, weights
        self.c, self.d, self.e = c, d, e
        self.parameters = parameters
        self.zero_points = zero_points
        self._stride, self._before = stride, before
        if plan.windowed:
            self.weights = _flattened(weights)

    def __iter__(self) -> Iterator[ArrayPass]:
        for task in self.plan.tasks():
            yield self._pass(task.tile, task.a, task.b, task.d)

    def _pass(self, tile: ConvTile, a: Use, b: Use, d: Use) -> ArrayPass:
        rows, columns, filters = tile.rows.start, tile.columns.start, tile.filters.start
        kernel = f"{tile.down.start},{tile.across.start},{tile.channels.start}"
        where = f"{rows},{columns},{filters}"
        mapper = self.mapper
        load_c = load_s = store = store_e = None
        last = bool(d.freed)
        if d.load and self.c is not None:
            load_c = self._addend(self.c, tile, d.region, f"load C {where}")
        if last and self.d is not None:
            layout = mapper.layout_d(tile.shape, d.region)
            store = self._outputs(mapper.store, self.d, tile, layout, f"store {where}")
        if last and self.e is not None and self.parameters is not None:
            load_s = load_parameters(mapper.gemm, self.parameters, tile.filters, d.region)
            layout = mapper.layout_e(tile.shape, d.region)
            store_e = self._outputs(mapper.store, self.e, tile, layout, f"store E {where}")
        return ArrayPass(
            streams=mapper.streams(
                tile,
                with_c=self.c is not None or not d.load,
                first=d.load,
                to_d=self.d is not None or not last,
                to_e=last and self.e is not None,
                zero_points=self.zero_points,
                regions=(a.region, b.region, d.region),
            ),
            steps=mapper.steps(tile.shape),
            load_c=load_c,
            load_a=self._image(tile, a.region, kernel) if a.load else None,
            load_b=self._weights(tile, b.region, kernel) if b.load else None,
            free_a=a.freed,
            free_b=b.freed,
            first=d.load,
            store=store,
            label=f"tile {where}" + ("" if d.load and last else f" from {kernel}"),
            load_s=load_s,
            store_e=store_e,
        )

    def _image(self, tile: ConvTile, region: int, kernel: str) -> Move:
        where = self.mapper.image(tile, region)
        pair = self.mapper.load
        label = f"load A {tile.rows.start},{tile.columns.start} for {kernel}"
        scratchpad = where.layout.by_rows(self.mapper.config.memory, pair.scratchpad)
        if self.plan.windowed:
            dram, nbytes = self._windows(tile)
            return Move(dram=dram, scratchpad=scratchpad, nbytes=nbytes, label=label)
        part = self.image.subview(
            (where.rows.first, where.columns.first, tile.channels.start),
            (where.rows.count, where.columns.count, len(tile.channels)),
            (where.rows.step, where.columns.step, 1),
        )
        return Move(
            dram=_padded(pair, part, [where.width, self._whole(tile)], pad=self.zero_points[0]),
            scratchpad=scratchpad,
            nbytes=part.nbytes,
            label=label,
        )

    def _windows(self, tile: ConvTile) -> tuple[BufferDescriptor, int]:
        """What reads a kernel row's columns for each output, and the bytes of them that exist.

        A run that begins before an image row or ends behind it is clipped to it. One that is longer
        than what the kernel covers, to fill whole K steps, reads the pixels behind it: their
        weights are padding.
        """
        rows = self.mapper.problem.rows.reach(tile.rows, tile.down)
        columns, image = tile.columns, self.image
        _, width, channels = image.sizes
        row = image.strides[0]
        # A row's first byte is 0; the run of output x begins at x * step - before.
        step, limit = self._stride * channels, width * channels
        first = columns.start * step - self._before * channels + tile.channels.start
        useful = len(tile.channels)
        walk = BufferDescriptor(
            base=image.first_address + rows.first * row + first,
            bounds=(len(columns), rows.count),
            strides=(step, rows.step * row),
            run_length=self._whole(tile),
            pad=self.zero_points[0] & 0xFF,
            guards=(Guard(offset=first, limit=limit, run=1, strides=(step,)),),
        )
        starts = [first + index * step for index in range(len(columns))]
        there = sum(max(min(start + useful, limit) - max(start, 0), 0) for start in starts)
        return walk, rows.count * there

    def _weights(self, tile: ConvTile, region: int, kernel: str) -> Move:
        layout, pair = self.mapper.layout_b(tile.shape, region), self.mapper.load
        pieces = (tile.down, tile.across, tile.channels, tile.filters)
        part = self.weights.subview([p.start for p in pieces], [len(p) for p in pieces])
        return Move(
            dram=_padded(
                pair, part, [self._whole(tile), layout.row_bytes], pad=self.zero_points[1]
            ),
            scratchpad=layout.by_rows(self.mapper.config.memory, pair.scratchpad),
            nbytes=part.nbytes,
            label=f"load B {kernel},{tile.filters.start}",
        )

    def _addend(self, ref: MemRef, tile: ConvTile, region: int, label: str) -> Move:
        pair = self.mapper.load
        if len(ref.sizes) > 1:
            layout = self.mapper.layout_d(tile.shape, region)
            return self._outputs(pair, ref, tile, layout, label)
        part = ref.subview((tile.filters.start,), (len(tile.filters),))
        layout = self.mapper.layout_row_c(tile.shape, region)
        return Move(
            dram=_padded(pair, part, [layout.row_bytes // ref.itemsize]),
            scratchpad=layout.by_rows(self.mapper.config.memory, pair.scratchpad),
            nbytes=part.nbytes,
            label=label,
        )

    def _outputs(
        self, pair: DmaPair, ref: MemRef, tile: ConvTile, layout: BlockedLayout, label: str
    ) -> Move:
        pieces = (tile.rows, tile.columns, tile.filters)
        part = ref.subview([p.start for p in pieces], [len(p) for p in pieces])
        return Move(
            dram=_padded(pair, part, [layout.row_bytes // ref.itemsize]),
            scratchpad=self.mapper.by_pixels(tile.shape, pair, layout),
            nbytes=part.nbytes,
            label=label,
        )

    def _whole(self, tile: ConvTile) -> int:
        """Channels of a tile in whole K steps."""
        return self.mapper.blocks(len(tile.channels)) * self.mapper.array.ku


def _padded(pair: DmaPair, part: MemRef, sizes: Sequence[int], *, pad: int = 0) -> BufferDescriptor:
    """The DRAM mover's walk of `part` with its last dimensions padded to `sizes`, by `pad`."""
    after = [0] * (len(part.sizes) - len(sizes))
    after += [size - had for size, had in zip(sizes, part.sizes[-len(sizes) :], strict=True)]
    return lower(pair.dram, part, padding=[(0, count) for count in after], pad=pad & 0xFF)


def _flattened(weights: MemRef) -> MemRef:
    """A kernel row's columns and channels as channels of one column."""
    down, across, channels, filters = weights.sizes
    row, _, step, one = weights.strides
    return replace(
        weights,
        sizes=(down, 1, across * channels, filters),
        strides=(row, across * channels * step, step, one),
    )
