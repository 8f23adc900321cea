"""From a MemRef to the descriptor of a DRAM mover: runs of bytes and the loops around them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..hw.agu.row import BOUND_BITS, GUARD_BITS
from ..hw.config import MoverConfig
from ..hw.mover.descriptor import RUN_LENGTH_BITS
from .descriptor import BufferDescriptor, Guard
from .errors import MappingError
from .memref import MemRef

__all__ = [
    "coalesce",
    "discard",
    "lower",
    "lower_bands",
    "lower_rows",
    "lower_run",
    "runs",
    "slices",
]

MAX_BOUND = (1 << BOUND_BITS) - 1
MAX_RUN = (1 << RUN_LENGTH_BITS) - 1
MAX_WINDOW = (1 << GUARD_BITS - 1) - 1

MAX_SLICES = 1024
"""Descriptors that one view may take; one that takes more is a mistake of the caller's."""


@dataclass(frozen=True)
class _Loop:
    """`before` and `after` of the iterations do not exist."""

    bound: int
    step: int
    before: int = 0
    after: int = 0

    @property
    def is_padded(self) -> bool:
        return self.before > 0 or self.after > 0

    @property
    def total(self) -> int:
        return self.before + self.bound + self.after


def coalesce(ref: MemRef) -> tuple[int, list[tuple[int, int]]]:
    """The walk of `ref` as a run of bytes and loops (bound, byte stride) around it.

    Dimensions of one element vanish and neighbours that continue one another merge; the loops come
    innermost first. The order of the bytes is that of the walk, always.
    """
    run, loops = _nest(ref, [(0, 0)] * len(ref.sizes))
    return run.bound, [(loop.bound, loop.step) for loop in loops]


def _nest(ref: MemRef, padding: Sequence[tuple[int, int]]) -> tuple[_Loop, list[_Loop]]:
    """The walk as a run, whose iterations are bytes, and loops around it, innermost first.

    A padded dimension goes on where those inside it end, but none outside it does.
    """
    run, loops = _Loop(ref.itemsize, 1), list[_Loop]()
    dimensions = zip(ref.sizes, ref.strides, padding, strict=True)
    for size, stride, (before, after) in reversed(list(dimensions)):
        step, padded = stride * ref.itemsize, before > 0 or after > 0
        if size == 1 and not padded:
            continue
        inside = loops[-1] if loops else run
        if not loops and not run.is_padded and (step == run.bound or size == 1):
            run = _Loop(run.bound * size, 1, before * run.bound, after * run.bound)
        elif loops and not (padded or inside.is_padded) and step == inside.bound * inside.step:
            loops[-1] = _Loop(inside.bound * size, inside.step)
        else:
            loops.append(_Loop(size, step if size > 1 else 0, before, after))
    return run, loops


def lower(
    mover: MoverConfig,
    ref: MemRef,
    *,
    padding: Sequence[tuple[int, int]] = (),
    pad: int = 0,
) -> BufferDescriptor:
    """The descriptor that walks `ref`; its stream is the walk's bytes, dense.

    Parameters
    ----------
    mover
        A DRAM mover; each padded dimension takes one of its guards.
    ref
        What to read or write; an empty one gives a descriptor that moves nothing.
    padding
        Elements before and after each dimension that the stream has and `ref` has not: `pad` when
        read, dropped when written, and never on the bus. A pair a dimension, outermost first.
    pad
        Byte that is read there.

    Raises
    ------
    MappingError
        More loops or guards than the mover has, a bound or a run that neither fits nor divides,
        `padding` that does not pair with the dimensions or is negative.
    """
    padding = padding or [(0, 0)] * len(ref.sizes)
    if len(padding) != len(ref.sizes) or any(count < 0 for pair in padding for count in pair):
        raise MappingError(
            f"padding = {tuple(padding)}: must be counts before and after each of {ref.sizes}"
        )
    if ref.elements == 0:
        if any(map(any, padding)):
            raise MappingError(f"sizes = {ref.sizes}: there is nothing that could be padded")
        return BufferDescriptor(base=ref.first_address, bounds=(0,), strides=(0,), run_length=1)
    run, loops = _nest(ref, padding)
    if run.total > MAX_RUN:
        if run.is_padded:
            raise MappingError(f"a padded run of {run.total} bytes exceeds {MAX_RUN}")
        length, count = _split(run.bound, MAX_RUN, f"a run of {run.bound} bytes")
        run = _Loop(length, 1)
        loops.insert(0, _Loop(count, length))
    split: list[_Loop] = []
    for loop in loops:
        bound, step = loop.bound, loop.step
        if loop.is_padded and loop.total > MAX_BOUND:
            raise MappingError(f"a padded loop of {loop.total} iterations exceeds {MAX_BOUND}")
        while bound > MAX_BOUND:
            inner, outer = _split(bound, MAX_BOUND, f"a loop of {bound} iterations")
            split.append(_Loop(inner, step))
            bound, step = outer, step * inner
        split.append(_Loop(bound, step, loop.before, loop.after))
    if len(split) > mover.loops:
        raise MappingError(
            f"a view of sizes {ref.sizes} and strides {ref.strides} takes {len(split)} loops; "
            f"{mover.name} has {mover.loops}"
        )
    guards = [_window(mover, run.bound, offset=-run.before, run=1)] if run.is_padded else []
    for level, loop in enumerate(split):
        if loop.is_padded:
            along = tuple(int(level == other) for other in range(level + 1))
            guards.append(_window(mover, loop.bound, offset=-loop.before, strides=along))
    if len(guards) > mover.guards:
        raise MappingError(
            f"a view of sizes {ref.sizes} with padding {tuple(padding)} takes {len(guards)} "
            f"guards; {mover.name} has {mover.guards}"
        )
    before = run.before + sum(loop.before * loop.step for loop in split)
    return BufferDescriptor(
        base=ref.first_address - before,
        bounds=tuple(loop.total for loop in split),
        strides=tuple(loop.step for loop in split),
        run_length=run.total,
        guards=tuple(guards),
        pad=pad,
    )


def slices(mover: MoverConfig, ref: MemRef, *, granule: int = 1) -> list[MemRef]:
    """`ref` as views that a descriptor each can walk, in the order of the walk.

    Where factors and loops suffice it is `ref` itself; else the outermost dimension is cut, first
    into as few pieces as there can be, and only what a single index of it still does not lower is
    cut further in.

    Parameters
    ----------
    granule
        Every piece but the last is a multiple of so many bytes (fewer than 4096).

    Raises
    ------
    MappingError
        No cut helps or keeps to `granule`, or it takes more than :data:`MAX_SLICES` pieces.
    """
    pieces: list[MemRef] = []
    _cut(mover, ref, granule, pieces)
    odd = [piece.nbytes for piece in pieces[:-1] if piece.nbytes % granule]
    if odd:
        raise MappingError(
            f"a view of sizes {ref.sizes} takes pieces of {odd[0]} bytes, which are not whole "
            f"words of {granule}"
        )
    return pieces


def runs(ref: MemRef) -> list[MemRef]:
    """The contiguous runs of `ref`, in the order of the walk.

    Raises
    ------
    MappingError
        There are more than :data:`MAX_SLICES`.
    """
    if ref.elements == 0:
        return [ref]
    inner = len(ref.sizes)
    while inner and ref[(0,) * (inner - 1)].is_contiguous:
        inner -= 1
    outer = ref.sizes[:inner]
    if math.prod(outer) > MAX_SLICES:
        raise MappingError(
            f"a view of sizes {ref.sizes} has {math.prod(outer)} runs; {MAX_SLICES} can be moved "
            "one by one"
        )
    return [ref[index] for index in itertools.product(*map(range, outer))]


def discard(mover: MoverConfig, address: int, length: int) -> BufferDescriptor:
    """The s2mm descriptor that takes `length` bytes from the stream and writes none of them."""
    return BufferDescriptor(
        base=address, bounds=(1,), strides=(0,), run_length=length, guards=(_window(mover, 0),)
    )


def lower_rows(
    mover: MoverConfig, ref: MemRef, *, rows: int, row_bytes: int, pad: int = 0
) -> BufferDescriptor:
    """The descriptor of `rows` runs of `row_bytes` bytes that covers a matrix and what pads it.

    Bytes right of a row of `ref` and rows below the last one are `pad` when read and discarded when
    written, see `lower`.

    Parameters
    ----------
    mover
        A DRAM mover; padding takes one of its guards a direction.
    ref
        Two dimensions, the inner one contiguous.
    rows, row_bytes
        What the other end of the stream takes; at least what `ref` has.

    Raises
    ------
    MappingError
        A matrix that is not as above, or as `lower`.
    """
    matrix = _bytes_of(ref, rows, row_bytes)
    padding = [(0, most - had) for most, had in zip((rows, row_bytes), matrix.sizes, strict=True)]
    return lower(mover, matrix, padding=padding, pad=pad)


def lower_bands(
    mover: MoverConfig,
    ref: MemRef,
    *,
    rows: int,
    row_bytes: int,
    band: int,
    piece: int,
    pad: int = 0,
) -> BufferDescriptor:
    """As `lower_rows`, but of each `band` of rows first the first `piece` bytes of every row, then
    the next of every row.

    Raises
    ------
    MappingError
        As `lower_rows`, or rows are not whole bands, or not of whole pieces.
    """
    if rows % band or row_bytes % piece:
        raise MappingError(f"{rows} rows of {row_bytes} bytes: bands of {band} rows by {piece}")
    matrix = _bytes_of(ref, rows, row_bytes)
    (height, width), (stride, _) = matrix.sizes, matrix.strides
    # Of each loop: bound, byte stride, and what it adds to a byte's row and to its column.
    loops = [
        (band, stride, 1, 0),
        (row_bytes // piece, piece, 0, piece),
        (rows // band, band * stride, band, 0),
    ]
    loops = [loop for loop in loops if loop[0] > 1]
    guards = []
    if width < row_bytes:
        guards.append(_window(mover, width, run=1, strides=[loop[3] for loop in loops]))
    if height < rows:
        guards.append(_window(mover, height, strides=[loop[2] for loop in loops]))
    if len(loops) > mover.loops or len(guards) > mover.guards:
        raise MappingError(
            f"bands of {band} rows by {piece} bytes take {len(loops)} loops and {len(guards)} "
            f"guards; {mover.name} has {mover.loops} and {mover.guards}"
        )
    return BufferDescriptor(
        base=matrix.first_address,
        bounds=tuple(loop[0] for loop in loops),
        strides=tuple(loop[1] for loop in loops),
        run_length=piece,
        guards=tuple(guards),
        pad=pad,
    )


def _bytes_of(ref: MemRef, rows: int, row_bytes: int) -> MemRef:
    """The bytes of a matrix, which is to fit `rows` of `row_bytes`."""
    if len(ref.sizes) != 2 or (ref.sizes[1] > 1 and ref.strides[1] != 1):
        raise MappingError(
            f"sizes {ref.sizes}, strides {ref.strides}: the rows of a matrix must be contiguous"
        )
    height, width = ref.sizes[0], ref.sizes[1] * ref.itemsize
    if height > rows or width > row_bytes:
        raise MappingError(f"{height} rows of {width} bytes do not fit {rows} of {row_bytes}")
    return replace(
        ref,
        offset=ref.offset * ref.itemsize,
        sizes=(height, width),
        strides=(ref.strides[0] * ref.itemsize, 1),
        dtype=np.dtype(np.uint8),
    )


def lower_run(mover: MoverConfig, ref: MemRef, *, drop: int) -> BufferDescriptor:
    """The s2mm descriptor of a contiguous `ref`, and of `drop` bytes behind it that are dropped.

    Raises
    ------
    MappingError
        As `lower`.
    """
    run = replace(
        ref,
        offset=ref.offset * ref.itemsize,
        sizes=(ref.nbytes,),
        strides=(1,),
        dtype=np.dtype(np.uint8),
    )
    return lower(mover, run, padding=((0, drop),))


def _window(
    mover: MoverConfig, limit: int, *, offset: int = 0, run: int = 0, strides: Sequence[int] = ()
) -> Guard:
    if mover.guards == 0:
        raise MappingError(f"{mover.name} has no guard, so it cannot clip to {limit}")
    if limit > MAX_WINDOW:
        raise MappingError(f"a window of {limit} exceeds a guard's {MAX_WINDOW}")
    return Guard(offset=offset, limit=limit, run=run, strides=tuple(strides))


def _lowers(mover: MoverConfig, ref: MemRef) -> bool:
    try:
        lower(mover, ref)
    except MappingError:
        return False
    return True


def _cut(mover: MoverConfig, ref: MemRef, granule: int, pieces: list[MemRef]) -> None:
    """Append the pieces of `ref`."""
    if len(pieces) >= MAX_SLICES:
        raise MappingError(f"a view takes more than {MAX_SLICES} descriptors; move it in parts")
    if _lowers(mover, ref):
        pieces.append(ref)
        return
    outer = next((d for d, size in enumerate(ref.sizes) if size > 1), None)
    if outer is None:
        lower(mover, ref)  # Raises: there is nothing left to cut.
        return
    size = ref.sizes[outer]
    step = granule // math.gcd(granule, ref.nbytes // size)
    # What factors always: whole multiples of the longest loop or run, then one of either.
    longest = [most - most % step for most in (MAX_BOUND, MAX_RUN // ref.itemsize)]
    counts = {size - size % most for most in longest} | set(longest)
    for count in sorted((c for c in counts if 0 < c < size), reverse=True):
        if _lowers(mover, _part(ref, outer, 0, count)):
            break
    else:
        count = 1
    for start in range(0, size, count):
        _cut(mover, _part(ref, outer, start, min(count, size - start)), granule, pieces)


def _part(ref: MemRef, dimension: int, start: int, count: int) -> MemRef:
    """`count` indices of `dimension` from `start` on."""
    offsets, sizes = [0] * len(ref.sizes), list(ref.sizes)
    offsets[dimension], sizes[dimension] = start, count
    return ref.subview(offsets, sizes)


def _split(value: int, limit: int, what: str) -> tuple[int, int]:
    """`value` as (inner, outer) with the largest inner of at most `limit`."""
    inner = 1
    for divisor in range(1, math.isqrt(value) + 1):
        if value % divisor == 0:
            inner = max(inner, *(d for d in (divisor, value // divisor) if d <= limit))
    if inner == 1:
        raise MappingError(f"{what} exceeds {limit} and has no smaller factor; move it in parts")
    return inner, value // inner
