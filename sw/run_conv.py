"""From the operands of a convolution to what runs it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..hw.config import AcceleratorConfig
from .conv_passes import ConvPasses
from .conv_tiling import plan_convolution
from .convolution import Convolution
from .errors import MappingError
from .memref import MemRef
from .placement import bound_mover
from .run_array import ArrayRunner

__all__ = ["conv_runner"]

OPERAND, ACCUMULATOR = np.dtype(np.int8), np.dtype(np.int32)


def conv_runner(
    config: AcceleratorConfig,
    *,
    image: MemRef,
    weights: MemRef,
    out: MemRef,
    c: MemRef | None,
    stride: int | Sequence[int],
    pad: int | Sequence[int | Sequence[int]],
    dilation: int | Sequence[int],
) -> ArrayRunner:
    """What runs ``out = conv(image, weights) (+ c)`` on `config`; see :meth:`Device.conv`.

    Raises
    ------
    MappingError, DescriptorError, SequenceError
        The convolution is impossible.
    """
    _check("image", image, 3, OPERAND)
    _check("weights", weights, 4, OPERAND)
    (h, w, channels), (r, s, depth, k) = image.sizes, weights.sizes
    if depth != channels:
        raise MappingError(
            f"weights have shape {weights.sizes}: with an image of {image.sizes} they must have "
            f"{channels} channels"
        )
    problem = Convolution.of(
        h=h, w=w, c=channels, k=k, r=r, s=s, stride=stride, pad=pad, dilation=dilation
    )
    results = {"out": out} | ({} if c is None else {"bias": c})
    row_c = c is not None and len(c.sizes) == 1
    for name, ref in results.items():
        wanted = problem.outputs[2:] if name == "bias" and row_c else problem.outputs
        _check(name, ref, len(wanted), ACCUMULATOR)
        if ref.sizes != wanted:
            raise MappingError(f"{name} has shape {ref.sizes}: must be {wanted}")
    _check_result(out)
    for name, ref in {"image": image, "weights": weights, **results}.items():
        if ref != out and _meet(ref, out):
            raise MappingError(f"out lies over {name}, which is still read when tiles are stored")
    if c is not None and row_c and not _broadcasts(config):
        # Then every pixel has it in memory, and the DMA reads it as often.
        c, row_c = replace(c, sizes=problem.outputs, strides=(0, 0, *c.strides)), False
    plan = plan_convolution(
        config,
        problem,
        with_c=c is not None,
        row_c=row_c,
        windows=_dense(image, 2) and _dense(weights, 3),
    )
    passes = ConvPasses(
        plan,
        image=image,
        weights=weights,
        out=out,
        c=c,
        stride=problem.columns.stride,
        before=problem.columns.before,
    )
    return ArrayRunner(config, placement=plan.mapper.placement, passes=passes, macs=problem.macs)


def _check(name: str, ref: MemRef, rank: int, dtype: np.dtype[np.generic]) -> None:
    if ref.dtype != dtype:
        raise MappingError(f"{name} has dtype {ref.dtype}: must be {dtype}")
    if len(ref.sizes) != rank or 0 in ref.sizes:
        raise MappingError(f"{name} has shape {ref.sizes}: must have {rank} dimensions, not empty")
    if ref.sizes[-1] > 1 and ref.strides[-1] != 1:
        raise MappingError(
            f"{name} has strides {ref.strides}: the elements of its last dimension must be "
            "contiguous"
        )


def _broadcasts(config: AcceleratorConfig) -> bool:
    """Whether C's mover can make a beat of one row."""
    mover = bound_mover(config, "array.c")
    return "broadcaster" in mover.extensions and mover.channel_enable


def _check_result(out: MemRef) -> None:
    """No two elements of it are one."""
    within = out.sizes[2]
    for size, stride in ((out.sizes[1], out.strides[1]), (out.sizes[0], out.strides[0])):
        if size > 1 and abs(stride) < within:
            raise MappingError(f"out has strides {out.strides}: its rows overlap")
        within += (size - 1) * abs(stride)


def _meet(ref: MemRef, out: MemRef) -> bool:
    (low, high), (begin, end) = ref.extent, out.extent
    return low < end and begin < high


def _dense(ref: MemRef, dimensions: int) -> bool:
    """Whether the last `dimensions` are one run."""
    return replace(
        ref, sizes=ref.sizes[-dimensions:], strides=ref.strides[-dimensions:]
    ).is_contiguous
