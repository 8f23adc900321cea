"""A matrix product as passes of the array."""

from __future__ import annotations

from collections.abc import Iterator

from .array_pass import ArrayPass, Move
from .bands import by_bands
from .blocked import BlockedLayout, beat_bytes
from .gemm import GemmTask
from .gemm_tiling import GemmPlan
from .lower import lower_bands, lower_rows
from .memref import MemRef
from .results import load_parameters
from .transfer import DmaPair

__all__ = ["GemmPasses"]


class GemmPasses:
    """The passes of ``d = a @ b (+ c)``, or of what it becomes in e, in the order of a plan.

    Parameters
    ----------
    plan
        The way to run it.
    a, b, c, d, e
        The matrices, which have the form of the plan's mapper; c may be one of one row, and d or e
        may be absent, but not both.
    parameters
        What e's columns are rescaled with, as one row of bytes.
    zero_points
        Of a and b.
    """

    def __init__(
        self,
        plan: GemmPlan,
        *,
        a: MemRef,
        b: MemRef,
        c: MemRef | None = None,
        d: MemRef | None,
        e: MemRef | None = None,
        parameters: MemRef | None = None,
        zero_points: tuple[int, int] = (0, 0),
    ) -> None:
        self.plan, self.mapper = plan, plan.mapper
        self.a, self.b, self.c, self.d, self.e = a, b, c, d, e
        self.parameters = parameters
        self.zero_points = zero_points
        self._load = DmaPair.find(self.mapper.config, "mm2s")
        self._store = DmaPair.find(self.mapper.config, "s2mm")

    def __iter__(self) -> Iterator[ArrayPass]:
        for task in self.plan.tasks():
            yield self._pass(task)

    def _pass(self, tile: GemmTask) -> ArrayPass:
        mapper, shape = self.mapper, tile.shape
        m, n, k = tile.m, tile.n, tile.k
        regions = (tile.a.region, tile.b.region, tile.d.region)
        a, b = mapper.layout_a(shape, regions[0]), mapper.layout_b(shape, regions[1])
        d = mapper.layout_d(shape, regions[2])
        load_c = load_a = load_b = load_s = store = store_e = None
        last = bool(tile.d.freed)
        to_e = last and self.e is not None
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
            # A row ends with the zero point, so that what stands beside it in B does not count.
            pad = self.zero_points[0] & 0xFF
            load_a = self._move(self._load, part, a, f"load A {m},{k}", pad=pad)
        if tile.b.load:
            part = self.b.subview((k, n), (shape.k, shape.n))
            if mapper.form.transposed_b:
                part = part.transpose()
            load_b = self._move(self._load, part, b, f"load B {k},{n}")
        if last and self.d is not None:
            part = self.d.subview((m, n), (shape.m, shape.n))
            store = self._move(self._store, part, d, f"store {m},{n}")
        if last and self.e is not None and self.parameters is not None:
            columns = range(n, n + shape.n)
            load_s = load_parameters(mapper, self.parameters, columns, regions[2])
            part = self.e.subview((m, n), (shape.m, shape.n))
            e = mapper.layout_e(shape, regions[2])
            store_e = self._move(self._store, part, e, f"store E {m},{n}")
        return ArrayPass(
            streams=mapper.streams(
                shape,
                with_c=self.c is not None or not tile.d.load,
                first=tile.d.load,
                to_d=self.d is not None or not last,
                to_e=to_e,
                zero_points=self.zero_points,
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
            load_s=load_s,
            store_e=store_e,
        )

    def _move(
        self, pair: DmaPair, part: MemRef, layout: BlockedLayout, label: str, *, pad: int = 0
    ) -> Move:
        memory, end = self.mapper.config.memory, pair.scratchpad
        rows, row_bytes = layout.rows, layout.row_bytes
        if by_bands(memory, pair, layout):
            scratchpad = layout.by_rows(memory, end, banded=True)
            dram = lower_bands(
                pair.dram,
                part,
                rows=rows,
                row_bytes=row_bytes,
                band=layout.tile_rows,
                piece=beat_bytes(memory, end),
                pad=pad,
            )
        else:
            scratchpad = layout.by_rows(memory, end)
            dram = lower_rows(pair.dram, part, rows=rows, row_bytes=row_bytes, pad=pad)
        return Move(dram=dram, scratchpad=scratchpad, nbytes=part.nbytes, label=label)
