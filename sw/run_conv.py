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
from .results import ACCUMULATOR, OPERAND, check_results, named_results
from .run_array import ArrayRunner

__all__ = ["conv_runner"]


def conv_runner(
    config: AcceleratorConfig,
    *,
    image: MemRef,
    weights: MemRef,
    c: MemRef | None,
    d: MemRef | None,
    e: MemRef | None = None,
    parameters: MemRef | None = None,
    zero_points: tuple[int, int] = (0, 0),
    stride: int | Sequence[int],
    pad: int | Sequence[int | Sequence[int]],
    dilation: int | Sequence[int],
) -> ArrayRunner:
    """What runs ``d = conv(image, weights) (+ c)``, and makes e of it, on `config`.

    See :meth:`Device.conv`; the other parameters are those of :func:`gemm_runner`.

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
    results = named_results(d, e)
    row_c = c is not None and len(c.sizes) == 1
    outputs = dict(results) if c is None else {**results, "bias": (c, ACCUMULATOR)}
    for name, (ref, dtype) in outputs.items():
        wanted = problem.outputs[2:] if name == "bias" and row_c else problem.outputs
        _check(name, ref, len(wanted), dtype)
        if ref.sizes != wanted:
            raise MappingError(f"{name} has shape {ref.sizes}: must be {wanted}")
    operands = {"image": image, "weights": weights, **{n: ref for n, (ref, _) in outputs.items()}}
    for result, (out, _) in results.items():
        _check_result(result, out)
        for name, ref in operands.items():
            in_place = name == "bias" and ref == out
            if name != result and not in_place and _meet(ref, out):
                use = "written too" if name in results else "still read when tiles are stored"
                raise MappingError(f"{result} lies over {name}, which is {use}")
    check_results(config, to_e=e is not None, zero_points=zero_points)
    if c is not None and row_c and not _broadcasts(config):
        # Then every pixel has it in memory, and the DMA reads it as often.
        c, row_c = replace(c, sizes=problem.outputs, strides=(0, 0, *c.strides)), False
    plan = plan_convolution(
        config,
        problem,
        with_c=c is not None,
        row_c=row_c,
        windows=_dense(image, 2) and _dense(weights, 3),
        to_d=d is not None,
        to_e=e is not None,
    )
    passes = ConvPasses(
        plan,
        image=image,
        weights=weights,
        c=c,
        d=d,
        e=e,
        parameters=parameters,
        zero_points=zero_points,
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


def _check_result(name: str, out: MemRef) -> None:
    """No two elements of it are one."""
    within = out.sizes[2]
    for size, stride in ((out.sizes[1], out.strides[1]), (out.sizes[0], out.strides[0])):
        if size > 1 and abs(stride) < within:
            raise MappingError(f"{name} has strides {out.strides}: its rows overlap")
        within += (size - 1) * abs(stride)


def _meet(ref: MemRef, out: MemRef) -> bool:
    (low, high), (begin, end) = ref.extent, out.extent
    return low < end and begin < high


def _dense(ref: MemRef, dimensions: int) -> bool:
    """Whether the last `dimensions` are one run."""
    return replace(
        ref, sizes=ref.sizes[-dimensions:], strides=ref.strides[-dimensions:]
    ).is_contiguous
