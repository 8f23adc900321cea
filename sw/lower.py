"""From a MemRef to the descriptor of a DRAM mover: runs of bytes and the loops around them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

from ..hw.agu.row import BOUND_BITS, GUARD_BITS
from ..hw.config import MoverConfig
from ..hw.mover.descriptor import RUN_LENGTH_BITS
from .descriptor import BufferDescriptor, Guard
from .errors import MappingError
from .memref import MemRef

__all__ = ["coalesce", "discard", "lower", "lower_rows", "runs", "slices"]

MAX_BOUND = (1 << BOUND_BITS) - 1
MAX_RUN = (1 << RUN_LENGTH_BITS) - 1
MAX_WINDOW = (1 << GUARD_BITS - 1) - 1

MAX_SLICES = 1024
"""Descriptors that one view may take; one that takes more is a mistake of the caller's."""


def coalesce(ref: MemRef) -> tuple[int, list[tuple[int, int]]]:
    """The walk of `ref` as a run of bytes and loops (bound, byte stride) around it.

    Dimensions of one element vanish and neighbours that continue one another merge; the loops come
    innermost first. The order of the bytes is that of the walk, always.
    """
    loops: list[tuple[int, int]] = []
    run = ref.itemsize
    for size, stride in zip(reversed(ref.sizes), reversed(ref.strides), strict=True):
        step = stride * ref.itemsize
        if size == 1:
            continue
        if not loops and step == run:
            run *= size
        elif loops and step == loops[-1][0] * loops[-1][1]:
            loops[-1] = (loops[-1][0] * size, loops[-1][1])
        else:
            loops.append((size, step))
    return run, loops


def lower(mover: MoverConfig, ref: MemRef, *, drop: int = 0) -> BufferDescriptor:
    """The descriptor that walks `ref`; its stream is the walk's bytes, dense.

    Parameters
    ----------
    mover
        A DRAM mover.
    ref
        What to read or write; an empty one gives a descriptor that moves nothing.
    drop
        Bytes that an s2mm mover takes from the stream after the walk and discards. Only where the
        walk is a single run; see `discard` for the others.

    Raises
    ------
    MappingError
        More loops than the mover has, a bound or a run that neither fits nor divides.
    """
    if ref.elements == 0:
        return BufferDescriptor(base=ref.first_address, bounds=(0,), strides=(0,), run_length=1)
    run, loops = coalesce(ref)
    guards: tuple[Guard, ...] = ()
    if drop:
        if loops or run + drop > MAX_RUN:
            raise MappingError(f"cannot drop {drop} bytes after a walk that is not one short run")
        guards, run = (_window(mover, run, run=1),), run + drop
    if run > MAX_RUN:
        run, count = _split(run, MAX_RUN, f"a run of {run} bytes")
        loops.insert(0, (count, run))
    split: list[tuple[int, int]] = []
    for bound, stride in loops:
        while bound > MAX_BOUND:
            inner, outer = _split(bound, MAX_BOUND, f"a loop of {bound} iterations")
            split.append((inner, stride))
            bound, stride = outer, stride * inner
        split.append((bound, stride))
    if len(split) > mover.loops:
        raise MappingError(
            f"a view of sizes {ref.sizes} and strides {ref.strides} takes {len(split)} loops; "
            f"{mover.name} has {mover.loops}"
        )
    return BufferDescriptor(
        base=ref.first_address,
        bounds=tuple(bound for bound, _ in split),
        strides=tuple(stride for _, stride in split),
        run_length=run,
        guards=guards,
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
    written: they never reach the bus. Where nothing is padded and the rows touch, it is one run.

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
        A matrix that is not as above, or more guards than the mover has.
    """
    if len(ref.sizes) != 2 or (ref.sizes[1] > 1 and ref.strides[1] != 1):
        raise MappingError(
            f"sizes {ref.sizes}, strides {ref.strides}: the rows of a matrix must be contiguous"
        )
    height, width = ref.sizes[0], ref.sizes[1] * ref.itemsize
    pitch = ref.strides[0] * ref.itemsize
    if height > rows or width > row_bytes:
        raise MappingError(f"{height} rows of {width} bytes do not fit {rows} of {row_bytes}")
    guards = []
    if width < row_bytes:
        guards.append(_window(mover, width, run=1))
    if height < rows:
        guards.append(_window(mover, height, strides=(1,)))
    if len(guards) > mover.guards:
        raise MappingError(
            f"padding a matrix to {rows} rows of {row_bytes} bytes takes {len(guards)} guards; "
            f"{mover.name} has {mover.guards}"
        )
    total = rows * row_bytes
    if not guards and (pitch == row_bytes or rows == 1) and total <= MAX_RUN:
        bounds, strides, run = (1,), (0,), total
    else:
        bounds, strides, run = (rows,), (pitch,), row_bytes
    return BufferDescriptor(
        base=ref.first_address,
        bounds=bounds,
        strides=strides,
        run_length=run,
        guards=tuple(guards),
        pad=pad,
    )


def _window(mover: MoverConfig, limit: int, run: int = 0, strides: Sequence[int] = ()) -> Guard:
    if mover.guards == 0:
        raise MappingError(f"{mover.name} has no guard, so it cannot clip to {limit}")
    if limit > MAX_WINDOW:
        raise MappingError(f"a window of {limit} exceeds a guard's {MAX_WINDOW}")
    return Guard(limit=limit, run=run, strides=tuple(strides))


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
