"""What is run: products, products of transposed operands, convolutions.

Each is one pass of the array over operands that stand in the scratchpad, with a row that is added
to every row of the result.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, replace

from ..conv_workload import ConvWorkload
from ..gemm_workload import GemmWorkload
from ..hw.config import AcceleratorConfig
from ..sw.array_pass import ArrayPass
from ..sw.conv import ConvMapper
from ..sw.conv_passes import ConvPasses
from ..sw.conv_tile import ConvShape
from ..sw.conv_tiling import ConvPlan
from ..sw.errors import MappingError
from ..sw.gemm import GemmMapper, GemmProblem
from ..sw.gemm_layout import GemmForm, TileShape
from ..sw.gemm_passes import GemmPasses
from ..sw.gemm_tiling import GemmPlan
from ..sw.memref import MemRef
from ..sw.placement import Placement
from ..workload import Trial, Workload
from .steps import Step

__all__ = ["CASES", "GROUPS", "QUICK_CASES", "Case", "ConvCase", "GemmCase"]

GROUPS = ("gemm", "gemm-t", "conv")


class Case(ABC):
    """A workload, how it becomes a pass of the array, and what needs rearranging before it."""

    workload: Workload

    @property
    @abstractmethod
    def group(self) -> str:
        """One of `GROUPS`."""

    @property
    @abstractmethod
    def shape(self) -> str:
        """The workload's extents, to tell it from others of the group."""

    def predicted_cycles(self, config: AcceleratorConfig) -> int:
        """About how long all steps take, loads and stores among them."""
        return 20 * self.workload.predicted_cycles(config)

    @abstractmethod
    def rearranged(self, step: Step) -> tuple[str, ...]:
        """The array's ports whose operands a pass rearranges first, for want of a feature."""

    @abstractmethod
    def array_pass(
        self, config: AcceleratorConfig, placement: Placement, trial: Trial, *, row_c: bool
    ) -> ArrayPass:
        """The only pass of the array; C is one row in memory, or as many as the result has.

        Raises
        ------
        MappingError
            It takes more than one.
        """


@dataclass(frozen=True)
class GemmCase(Case):
    """A product; in group ``gemm-t`` if an operand lies transposed."""

    workload: GemmWorkload

    @property
    def group(self) -> str:
        work = self.workload
        return "gemm-t" if work.transpose_a or work.transpose_b else "gemm"

    @property
    def shape(self) -> str:
        work = self.workload
        turned = " AT" * work.transpose_a + " BT" * work.transpose_b
        return f"{work.m}x{work.n}x{work.k}{turned}"

    def rearranged(self, step: Step) -> tuple[str, ...]:
        if step.transposer:
            return ()
        turns = {"array.a": self.workload.transpose_a, "array.b": self.workload.transpose_b}
        return tuple(port for port, turned in turns.items() if turned)

    def array_pass(
        self, config: AcceleratorConfig, placement: Placement, trial: Trial, *, row_c: bool
    ) -> ArrayPass:
        work = self.workload
        form = GemmForm(transposed_a=work.transpose_a, transposed_b=work.transpose_b, row_c=row_c)
        row = MemRef.from_numpy(trial.operands["c"])
        rows = 1 if row_c else work.m
        whole = TileShape(m=work.m, n=work.n, k=work.k)
        mapper = GemmMapper(config, placement, form)
        if not mapper.fits(whole):
            raise MappingError(f"{self.shape} is no single tile of this placement")
        plan = GemmPlan(mapper=mapper, problem=GemmProblem(shape=whole, with_c=True), tile=whole)
        passes = GemmPasses(
            plan,
            a=MemRef.from_numpy(trial.operands["a"]),
            b=MemRef.from_numpy(trial.operands["b"]),
            c=replace(row, sizes=(rows, *row.sizes), strides=(0, *row.strides)),
            d=MemRef.from_numpy(trial.out),
        )
        return _only(passes)


@dataclass(frozen=True)
class ConvCase(Case):
    """A convolution."""

    workload: ConvWorkload

    @property
    def group(self) -> str:
        return "conv"

    @property
    def shape(self) -> str:
        work = self.workload
        (down, _), (across, _) = work.pad
        return (
            f"{work.h}x{work.w}x{work.c} to {work.k}, {work.r}x{work.s}, stride {work.stride[0]}"
            + (f", pad {down}" if down or across else "")
        )

    def rearranged(self, step: Step) -> tuple[str, ...]:
        return () if step.im2col else ("array.a",)

    def array_pass(
        self, config: AcceleratorConfig, placement: Placement, trial: Trial, *, row_c: bool
    ) -> ArrayPass:
        problem = self.workload.convolution
        mapper = ConvMapper(config, placement, problem, row_c=row_c)
        shape = ConvShape(
            rows=problem.rows.outputs,
            columns=problem.columns.outputs,
            filters=problem.filters,
            down=problem.rows.kernel,
            across=problem.columns.kernel,
            channels=problem.channels,
        )
        plan = ConvPlan(mapper=mapper, shape=shape, filters_first=False, windowed=False)
        if not plan.fits:
            raise MappingError("it does not fit the scratchpad as one pass")
        row = MemRef.from_numpy(trial.operands["bias"])
        if not row_c:
            row = replace(row, sizes=problem.outputs, strides=(0, 0, *row.strides))
        passes = ConvPasses(
            plan,
            image=MemRef.from_numpy(trial.operands["image"]),
            weights=MemRef.from_numpy(trial.operands["weights"]),
            c=row,
            d=MemRef.from_numpy(trial.out),
            stride=problem.columns.stride,
            before=problem.columns.before,
        )
        return _only(passes)


def _only(passes: Iterable[ArrayPass]) -> ArrayPass:
    work = list(passes)
    if len(work) != 1:
        raise MappingError(f"it takes {len(work)} passes of the array")
    return work[0]


def _gemm(m: int, n: int, k: int, *, a: bool = False, b: bool = False) -> GemmCase:
    return GemmCase(GemmWorkload(m=m, n=n, k=k, bias=True, transpose_a=a, transpose_b=b))


def _conv(size: int, c: int, k: int, kernel: int, stride: int) -> ConvCase:
    """A square image and kernel, padded so that a stride of 1 keeps the size."""
    pad = kernel // 2
    return ConvCase(
        ConvWorkload(
            h=size,
            w=size,
            c=c,
            k=k,
            r=kernel,
            s=kernel,
            stride=(stride, stride),
            pad=((pad, pad), (pad, pad)),
            bias=True,
        )
    )


CASES: tuple[Case, ...] = (
    _gemm(32, 32, 64),
    _gemm(64, 64, 64),
    _gemm(96, 96, 96),
    _gemm(120, 128, 128),
    _gemm(128, 64, 256),
    _gemm(40, 72, 200),
    _gemm(72, 40, 136),
    _gemm(56, 112, 88),
    _gemm(64, 128, 72),
    _gemm(33, 65, 79),
    _gemm(64, 64, 64, a=True),
    _gemm(64, 64, 64, b=True),
    _gemm(96, 96, 96, b=True),
    _gemm(120, 96, 128, a=True),
    _gemm(128, 64, 128, b=True),
    _gemm(64, 64, 128, a=True, b=True),
    _gemm(40, 72, 200, b=True),
    _gemm(72, 40, 136, a=True),
    _gemm(56, 112, 88, a=True),
    _gemm(33, 65, 79, b=True),
    _conv(14, 72, 32, 1, 1),
    _conv(28, 64, 40, 1, 2),
    _conv(16, 16, 16, 3, 1),
    _conv(12, 40, 24, 3, 1),
    _conv(16, 32, 16, 3, 2),
    _conv(20, 16, 24, 3, 2),
    _conv(16, 8, 32, 5, 1),
    _conv(24, 8, 16, 5, 2),
    _conv(8, 16, 24, 7, 1),
    _conv(24, 8, 16, 7, 2),
)
"""Of 128 KiB at most, rearranged copies among them, and 8 steps a tile at least: in fewer the array
cannot give a tile away, whatever the streamers do."""

QUICK_CASES: tuple[Case, ...] = (_gemm(12, 16, 20), _gemm(16, 12, 16, b=True), _conv(6, 8, 8, 3, 2))
"""One a group, for small systems too."""
