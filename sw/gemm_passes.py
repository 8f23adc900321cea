"""A matrix product as passes of the array."""

from __future__ import annotations

from collections.abc import Iterator

from .array_pass import ArrayPass, Move
from .blocked import BlockedLayout
from .gemm import GemmMapper, GemmTask
from .lower import lower_rows
from .memref import MemRef
from .transfer import DmaPair

__all__ = ["GemmPasses"]


class GemmPasses:
    """The passes of ``out = a @ b (+ c)`` in the order of the mapping's tasks.

    Parameters
    ----------
    mapper
        The mapping.
    a, b, out, c
        The matrices, which have the mapper's form; c may be one of one row.
    """

    def __init__(
        self, mapper: GemmMapper, *, a: MemRef, b: MemRef, out: MemRef, c: MemRef | None
    ) -> None:
        self.mapper = mapper
        self.a, self.b, self.out, self.c = a, b, out, c
        self._load = DmaPair.find(mapper.config, "mm2s")
        self._store = DmaPair.find(mapper.config, "s2mm")

    def __iter__(self) -> Iterator[ArrayPass]:
        (M, K), N = self.a.sizes, self.b.sizes[1]
        for task in self.mapper.tasks(M, N, K):
            yield self._pass(task)

    def _pass(self, tile: GemmTask) -> ArrayPass:
        mapper, shape = self.mapper, tile.shape
        m, n, k = tile.m, tile.n, tile.k
        regions = (tile.a.region, tile.b.region, tile.d.region)
        a, b = mapper.layout_a(shape, regions[0]), mapper.layout_b(shape, regions[1])
        d = mapper.layout_d(shape, regions[2])
        load_c = load_a = load_b = store = None
        if tile.d.load and self.c is not None:
            place, part = d, self.c
            if mapper.form.row_c:
                place = mapper.layout_row_c(shape, regions[2])
                part = part.subview((0, n), (1, shape.n))
            else:
                part = part.subview((m, n), (shape.m, shape.n))
            load_c = self._move(self._load, part, place, f"load C {m},{n}")
        if tile.a.load:
            part = self.a.subview((m, k), (shape.m, shape.k))
            if mapper.form.transposed_a:
                part = part.transpose()
            load_a = self._move(self._load, part, a, f"load A {m},{k}")
        if tile.b.load:
            part = self.b.subview((k, n), (shape.k, shape.n))
            if mapper.form.transposed_b:
                part = part.transpose()
            load_b = self._move(self._load, part, b, f"load B {k},{n}")
        if tile.d.freed:
            part = self.out.subview((m, n), (shape.m, shape.n))
            store = self._move(self._store, part, d, f"store {m},{n}")
        return ArrayPass(
            streams=mapper.streams(
                shape,
                with_c=self.c is not None or not tile.d.load,
                first=tile.d.load,
                regions=regions,
            ),
            steps=mapper.steps(shape),
            load_c=load_c,
            load_a=load_a,
            load_b=load_b,
            free_a=tile.a.freed,
            free_b=tile.b.freed,
            first=tile.d.load,
            store=store,
            label=f"tile {m},{n}" + ("" if tile.d.load and tile.d.freed else f" from k {k}"),
        )

    def _move(self, pair: DmaPair, part: MemRef, layout: BlockedLayout, label: str) -> Move:
        return Move(
            dram=lower_rows(pair.dram, part, rows=layout.rows, row_bytes=layout.row_bytes),
            scratchpad=layout.by_rows(self.mapper.config.memory, pair.scratchpad),
            nbytes=part.nbytes,
            label=label,
        )
