"""From the operands of a matrix product to what runs it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ..hw.config import AcceleratorConfig
from .errors import MappingError
from .gemm import GemmProblem
from .gemm_layout import GemmForm, TileShape
from .gemm_passes import GemmPasses
from .gemm_tiling import plan_product
from .memref import MemRef
from .results import ACCUMULATOR, OPERAND, check_results, named_results
from .run_array import ArrayRunner

__all__ = ["check_operands", "gemm_form", "gemm_runner"]


def gemm_form(a: MemRef, b: MemRef, c: MemRef | None) -> GemmForm:
    """How the operands lie: transposed is one whose columns alone are contiguous."""
    row_c = c is not None and len(c.sizes) == 1
    return GemmForm(transposed_a=_is_transposed(a), transposed_b=_is_transposed(b), row_c=row_c)


def as_matrix(ref: MemRef) -> MemRef:
    """A vector as a matrix of one row; a matrix as it is."""
    if len(ref.sizes) != 1:
        return ref
    return replace(ref, sizes=(1, *ref.sizes), strides=(ref.sizes[0], *ref.strides))


def _is_transposed(ref: MemRef) -> bool:
    """Whether the columns of a matrix are contiguous and its rows are not."""
    return _is_apart(ref) and not _is_apart(ref.transpose())


def _is_apart(ref: MemRef) -> bool:
    """Whether the elements of a row of a matrix do not follow each other."""
    return ref.sizes[1] > 1 and ref.strides[1] != 1


def check_operands(
    a: MemRef, b: MemRef, c: MemRef | None, results: Mapping[str, tuple[MemRef, np.dtype[Any]]]
) -> tuple[int, int, int]:
    """M, N and K of ``a @ b (+ c)``, whose `results` are called so and must be of such types.

    `c` may be a vector, for every row of the result.

    Raises
    ------
    MappingError
        A wrong type or shape, an empty matrix, rows that are not contiguous (of a and b: rows or
        columns), or a result that lies over an operand or another result (c itself may be the int32
        one).
    """
    operands = {"a": (a, OPERAND), "b": (b, OPERAND), **results}
    if c is not None:
        operands["c"] = (as_matrix(c), ACCUMULATOR)
    for name, (ref, dtype) in operands.items():
        if ref.dtype != dtype:
            raise MappingError(f"{name} has dtype {ref.dtype}: must be {dtype}")
        if len(ref.sizes) != 2 or 0 in ref.sizes:
            raise MappingError(f"{name} has shape {ref.sizes}: must be a matrix, not empty")
        may_turn = name in ("a", "b")
        if _is_apart(ref) and not (may_turn and _is_transposed(ref)):
            what = "row or a column" if may_turn else "row"
            raise MappingError(
                f"{name} has strides {ref.strides}: the elements of a {what} must be contiguous"
            )
    (M, K), N = a.sizes, b.sizes[1]
    wanted: dict[str, tuple[int, ...]] = {"a": (M, K), "b": (K, N)}
    given = {name: ref for name, (ref, _) in operands.items()}
    if c is not None:
        given["c"], wanted["c"] = c, (M, N) if len(c.sizes) == 2 else (N,)
    for name, ref in given.items():
        shape = wanted.get(name, (M, N))
        if ref.sizes != shape:
            raise MappingError(f"{name} has shape {ref.sizes}: with a of {a.sizes} must be {shape}")
    for result, (out, _) in results.items():
        if np.any(np.diff(_row_starts(out)) < N * out.itemsize):
            raise MappingError(f"{result} has strides {out.strides}: its rows overlap")
        for name, (ref, dtype) in operands.items():
            in_place = name == "c" and dtype == out.dtype
            in_place = in_place and np.array_equal(_row_order(ref), _row_order(out))
            lines = ref.transpose() if _is_transposed(ref) else ref
            if name != result and not in_place and _overlaps(lines, out):
                use = "written too" if name in results else "still read when tiles are stored"
                raise MappingError(f"{result} lies over {name}, which is {use}")
    return M, N, K


def _row_order(ref: MemRef) -> npt.NDArray[np.int64]:
    """Byte address of each row, in order."""
    return ref.first_address + np.arange(ref.sizes[0]) * (ref.strides[0] * ref.itemsize)


def _row_starts(ref: MemRef) -> npt.NDArray[np.int64]:
    return np.sort(_row_order(ref))


def _overlaps(ref: MemRef, out: MemRef) -> bool:
    """Whether a row of `ref` shares a byte with a row of `out` (whose rows are disjoint)."""
    starts, width = _row_starts(out), out.sizes[1] * out.itemsize
    low = _row_starts(ref)
    high = low + ref.sizes[1] * ref.itemsize
    # The last row of `out` that begins before a row of `ref` ends is the one that could reach in.
    before = np.searchsorted(starts, high, side="left") - 1
    return bool(np.any((before >= 0) & (starts[before] + width > low)))


def gemm_runner(
    config: AcceleratorConfig,
    *,
    a: MemRef,
    b: MemRef,
    c: MemRef | None,
    d: MemRef | None,
    e: MemRef | None = None,
    parameters: MemRef | None = None,
    zero_points: tuple[int, int] = (0, 0),
) -> ArrayRunner:
    """What runs ``d = a @ b (+ c)``, and makes e of it, on `config`; d or e may be absent.

    Parameters
    ----------
    parameters
        What e's columns are rescaled with, as one row of bytes.
    zero_points
        Of a and b.

    Raises
    ------
    MappingError, DescriptorError, SequenceError
        The product is impossible.
    """
    M, N, K = check_operands(a, b, c, named_results(d, e))
    check_results(config, to_e=e is not None, zero_points=zero_points)
    problem = GemmProblem(
        shape=TileShape(m=M, n=N, k=K),
        with_c=c is not None,
        to_d=d is not None,
        to_e=e is not None,
    )
    plan = plan_product(config, problem, gemm_form(a, b, c))
    return ArrayRunner(
        config,
        placement=plan.mapper.placement,
        passes=GemmPasses(
            plan,
            a=a,
            b=b,
            c=None if c is None else as_matrix(c),
            d=d,
            e=e,
            parameters=parameters,
            zero_points=zero_points,
        ),
        macs=M * N * K,
    )
