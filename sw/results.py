"""What becomes of a product: int32 sums, their int8 by the quantizer, or both."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..hw.config import PARAMETER_BITS, AcceleratorConfig
from .array_pass import Move
from .errors import MappingError
from .gemm_layout import GemmLayouts, TileShape
from .lower import lower_rows
from .memref import MemRef
from .transfer import DmaPair

__all__ = ["ACCUMULATOR", "OPERAND", "check_results", "load_parameters", "named_results"]

OPERAND: np.dtype[Any] = np.dtype(np.int8)
ACCUMULATOR: np.dtype[Any] = np.dtype(np.int32)

COLUMN = PARAMETER_BITS // 8
"""Bytes of a column's parameters."""


def named_results(d: MemRef | None, e: MemRef | None) -> dict[str, tuple[MemRef, np.dtype[Any]]]:
    """The results that are wanted, with their types, by what they are called in errors."""
    names = ("out", "out") if d is None or e is None else ("out[0]", "out[1]")
    results = ((names[0], d, ACCUMULATOR), (names[1], e, OPERAND))
    return {name: (ref, dtype) for name, ref, dtype in results if ref is not None}


def check_results(config: AcceleratorConfig, *, to_e: bool, zero_points: tuple[int, int]) -> None:
    """Raise `MappingError` where the array of `config`, if it has one, cannot make them."""
    array = config.array
    if array is not None and to_e and not array.quantizer:
        raise MappingError(f"configuration {config.name} has no quantizer: results are int32")
    if array is not None and any(zero_points) and not array.zero_points:
        raise MappingError(
            f"zero_a, zero_b = {zero_points}: configuration {config.name} has no zero points"
        )


def load_parameters(layouts: GemmLayouts, parameters: MemRef, columns: range, region: int) -> Move:
    """What brings those of `columns`, of one row of bytes that has those of all."""
    pair = DmaPair.find(layouts.config, "mm2s")
    s = layouts.layout_s(TileShape(m=1, n=len(columns), k=1), region)
    part = parameters.subview((0, columns.start * COLUMN), (1, len(columns) * COLUMN))
    return Move(
        dram=lower_rows(pair.dram, part, rows=s.rows, row_bytes=s.row_bytes),
        scratchpad=s.by_rows(layouts.config.memory, pair.scratchpad),
        nbytes=part.nbytes,
        label=f"load S {columns.start}",
    )
