"""How a convolution maps onto the accelerator: the loops that are its im2col.

A beat of A is the same K step of mu neighbouring output pixels, so its channels are `stride` pixels
apart; the loops around it walk the kernel, and guards give zeros where it hangs over the edge.
"""

from __future__ import annotations

from dataclasses import replace

from .array_pass import operator_word
from .blocked import BlockedLayout, affine_strides
from .conv_layout import ConvLayouts, ImageTile
from .conv_tile import ConvShape, ConvTile
from .descriptor import BufferDescriptor, Guard
from .errors import MappingError
from .gemm_layout import TileShape
from .placement import bound_mover
from .transfer import DmaPair

__all__ = ["ConvMapper"]


class ConvMapper(ConvLayouts):
    """The mapping of a convolution for one configuration and placement."""

    def streams(
        self,
        tile: ConvTile,
        *,
        with_c: bool,
        first: bool = True,
        to_d: bool = True,
        to_e: bool = False,
        zero_points: tuple[int, int] = (0, 0),
        regions: tuple[int, int, int] = (0, 0, 0),
    ) -> dict[str, BufferDescriptor]:
        """As :meth:`GemmMapper.streams`."""
        memory, shape = self.config.memory, tile.shape
        beats, across = self.beats(shape), -(-shape.filters // self.array.nu)
        b, d = self.layout_b(shape, regions[1]), self.layout_d(shape, regions[2])
        walk_d = ((across, d.tile_pitch), (beats, self.array.mu * d.tile_row_bytes))
        walk_b = ((self.depth(shape), b.row_pitch), (across, b.tile_pitch), (beats, 0))
        walks: dict[str, tuple[BlockedLayout, tuple[tuple[int, int], ...]]]
        walks = {"array.b": (b, walk_b)}
        if with_c:
            walks["array.c"] = (d, walk_d)
        if to_d:
            walks["array.d"] = (d, walk_d)
        if to_e:
            filters = TileShape(m=1, n=shape.filters, k=1)
            walks["array.s"] = self.gemm.walk_s(filters, regions[2], across=across, again=beats)
            e = self.layout_e(shape, regions[2])
            walk_e = ((across, e.tile_pitch), (beats, self.array.mu * e.tile_row_bytes))
            walks["array.e"] = (e, walk_e)
        streams = {
            port: layout.by_tiles(memory, bound_mover(self.config, port), loops)
            for port, (layout, loops) in walks.items()
        }
        if with_c and first and self.gemm.form.row_c:
            c = self.layout_row_c(shape, regions[2])
            streams["array.c"] = c.by_tiles(
                memory,
                bound_mover(self.config, "array.c"),
                ((across, c.tile_pitch), (beats, 0)),
                extensions=("broadcaster",),
                channels=self.gemm.row_c_channels,
            )
        word = operator_word(with_c=with_c, to_d=to_d, to_e=to_e, zero_points=zero_points)
        streams["array.a"] = replace(
            self._walk_a(tile, self.image(tile, regions[0])),
            operator=word,
            pad=zero_points[0] & 0xFF,
        )
        ports = ("array.a", "array.b", "array.s", "array.c", "array.d", "array.e")
        return {port: streams[port] for port in ports if port in streams}

    def by_pixels(self, shape: ConvShape, pair: DmaPair, layout: BlockedLayout) -> BufferDescriptor:
        """The descriptor with which the DMA takes or gives outputs that stand so, pixel after
        pixel."""
        mu = self.array.mu
        length = self.row_length(shape) or -(-shape.columns // mu) * mu
        return layout.by_rows(
            self.config.memory, pair.scratchpad, rows=((shape.columns, 1), (shape.rows, length))
        )

    def _walk_a(self, tile: ConvTile, image: ImageTile) -> BufferDescriptor:
        shape, mu, pitch, block = tile.shape, self.array.mu, image.pitch, self.block
        rows, columns, width = image.rows, image.columns, image.width
        step, word = self.pixel_step(shape), self.config.memory.word_bytes
        high, wide = self.grid(shape)
        merged = self.row_length(shape) is not None
        # Of each loop: bound, byte stride, and what it adds to the pixel's place in the list, of
        # which the row is guarded, and to its column, which is where rows are not walked as one.
        tap, beat = columns.tap_step, mu * step
        kernel = [
            (self.blocks(shape.channels), block, 0, 0),
            (shape.across, tap * pitch, tap * merged, tap * (not merged)),
            (shape.down, rows.tap_step * width * pitch, rows.tap_step * width, 0),
        ]
        outputs = [
            (-(-shape.filters // self.array.nu), 0, 0, 0),
            (-(-wide // mu), beat * pitch, beat * merged, beat * (not merged)),
            (high, rows.output_step * width * pitch, rows.output_step * width, 0),
        ]
        kernel = [loop for loop in kernel if loop[0] > 1] or kernel[:1]
        loops = [*kernel, *(loop for loop in outputs if loop[0] > 1)]
        along_rows = _window(
            offset=rows.start * width + columns.start * merged,
            limit=rows.count * width,
            loops=[(bound, down) for bound, _, down, _ in loops],
            coefficient=1 if merged else 0,
            channels=mu,
        )
        along_columns = _window(
            offset=0 if merged else columns.start,
            limit=columns.count,
            loops=[(bound, across) for bound, _, _, across in loops],
            coefficient=0 if merged else step,
            channels=mu,
        )
        guards = [each for each in (along_rows, along_columns) if each is not None]
        if any(guard.coefficient for guard in guards) and self.a.spatial_bounds[-1] != mu:
            raise MappingError(
                f"{self.a.name} has spatial bounds {self.a.spatial_bounds}: a guard needs the last "
                f"of them to be the array's {mu} rows"
            )
        dimension = len(self.a.spatial_bounds) - 1
        return BufferDescriptor(
            base=image.layout.base + (rows.start * width + columns.start) * pitch,
            bounds=tuple(loop[0] for loop in loops),
            strides=tuple(loop[1] for loop in loops),
            mark_level=len(kernel) - 1,
            mode=image.layout.mode,
            spatial_strides=affine_strides(
                self.a,
                lambda channel: channel * word // block * step * pitch + channel * word % block,
            ),
            guards=tuple(
                Guard(
                    offset=guard.offset,
                    limit=guard.limit,
                    strides=guard.strides,
                    coefficient=guard.coefficient,
                    dimension=dimension if guard.coefficient else 0,
                )
                for guard in guards
            ),
        )


def _window(
    *,
    offset: int,
    limit: int,
    loops: list[tuple[int, int]],
    coefficient: int,
    channels: int,
) -> Guard | None:
    """The guard of an index that `loops` (bound, step) and channels move; None if it never leaves.

    No step is negative.
    """
    most = offset + sum((bound - 1) * step for bound, step in loops) + (channels - 1) * coefficient
    if offset >= 0 and most < limit:
        return None
    return Guard(
        offset=offset,
        limit=limit,
        strides=tuple(step for _, step in loops),
        coefficient=coefficient,
    )
