"""What is moved, what numpy says the result is, and the fewest cycles that a bus could take."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..sw.lower import coalesce
from ..sw.memref import MemRef
from .systems import SCRATCHPAD_BYTES

__all__ = ["PATHS", "Case", "Walk", "floor_cases", "program_cases", "tile_cases"]

PATHS = ("dram-spm", "spm-dram", "dram-dram")
MEASURED_BEATS = 1024
"""At the floor, between the two points of a slope."""
PUSH_BYTES = 16
"""Of a sequencer's push with an address of its own."""
SOURCE_OFFSET, TARGET_OFFSET = 1, 3
"""Of what is not aligned, in bytes."""


@dataclass(frozen=True, kw_only=True)
class Walk:
    """Runs of `run` bytes, one an iteration of the loops, which stand innermost first."""

    run: int
    bounds: tuple[int, ...]
    strides: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        return self.run * int(np.prod(self.bounds))

    def folded(self) -> Walk:
        """The same bytes in the same order in as few and as long runs as the driver makes of it."""
        view = MemRef(
            address=0,
            offset=0,
            sizes=(*reversed(self.bounds), self.run),
            strides=(*reversed(self.strides), 1),
            dtype=np.dtype(np.uint8),
        )
        run, loops = coalesce(view)
        return Walk(
            run=run,
            bounds=tuple(bound for bound, _ in loops),
            strides=tuple(stride for _, stride in loops),
        )

    def starts(self) -> npt.NDArray[np.int64]:
        """Where each run starts, in the order of the walk."""
        starts = np.zeros(1, np.int64)
        for bound, stride in zip(self.bounds, self.strides, strict=True):
            starts = (np.arange(bound)[:, None] * stride + starts[None, :]).reshape(-1)
        return starts

    def index(self) -> npt.NDArray[np.int64]:
        """Where each byte lies, in the order of the walk."""
        return (self.starts()[:, None] + np.arange(self.run)[None, :]).reshape(-1)

    def beats(self, offset: int, width: int) -> int:
        """Bus beats of `width` bytes that a walk from `offset` up cannot do without.

        Runs that continue one another share the beat in which they meet.
        """
        starts = self.starts() + offset
        ends = starts + self.run
        fresh = np.append(True, starts[1:] != ends[:-1])
        first, last = starts[fresh], np.append(ends[:-1][fresh[1:]], ends[-1])
        return int(np.sum(-(-last // width) - first // width))


@dataclass(frozen=True, kw_only=True)
class Case:
    """One row of the table: a pattern, moved twice, in a shorter and a longer walk.

    Parameters
    ----------
    pattern
        ``rows`` apart from one another; ``folded``: rows that touch, which the driver makes one
        run; ``fused``: the same rows, which the hardware is left to join; a ``tile-ND``;
        ``repeat``: one row, executed over and over; ``copies``: a descriptor and a task for each,
        written by the host; ``sequencer``: a task for each, by a program in DRAM.
    path
        One of :data:`PATHS`.
    row_bytes
        Length of a run.
    source_offset, target_offset
        Of the first byte on either side in DRAM, in bytes from the start of a bus beat.
    inner
        Loops (bound, stride) inside the one that is lengthened.
    stride
        Of that one.
    count
        Its iterations in the shorter walk; the longer one has three times as many.
    """

    pattern: str
    path: str
    row_bytes: int
    source_offset: int
    target_offset: int
    inner: tuple[tuple[int, int], ...] = ()
    stride: int
    count: int

    @property
    def counts(self) -> tuple[int, int]:
        return self.count, 3 * self.count

    def walk(self, count: int) -> Walk:
        loops = (*self.inner, (count, self.stride))
        return Walk(
            run=self.row_bytes,
            bounds=tuple(bound for bound, _ in loops),
            strides=tuple(stride for _, stride in loops),
        )

    def beats(self, width: int) -> int:
        """Bus beats between the two points, on the sides that are DRAM."""
        return sum(self._beats(width))

    def floor_cycles(self, width: int, latency: int, outstanding: int) -> float:
        """Cycles between the two points on a bus of `width` bytes that is never idle.

        Where runs are single bursts, `outstanding` of them in `latency` cycles are a limit too.
        """
        short, long = (self.walk(count) for count in self.counts)
        moved = long.nbytes - short.nbytes
        limits: list[float] = [moved / width, *self._beats(width)]
        rows = moved // self.row_bytes
        if self.pattern == "fused":
            limits.append(rows)  # the address generator gives one a cycle
        elif self.pattern == "sequencer":
            # Two instructions a row come over the port that the rows come over.
            limits.append(self._beats(width)[0] + rows * 2 * PUSH_BYTES / width)
        elif self.pattern != "folded" and self.row_bytes <= width:
            limits.append(rows * latency / outstanding)
        return max(limits)

    def _beats(self, width: int) -> list[int]:
        short, long = (self.walk(count) for count in self.counts)
        sides = (("dram-", self.source_offset), ("-dram", self.target_offset))
        return [
            long.beats(offset, width) - short.beats(offset, width)
            for end, offset in sides
            if end in self.path
        ]


def _iterations(iteration_bytes: int, beats: int, measured: int) -> int:
    """Iterations whose longer walk takes at least `measured` beats more than the shorter."""
    most = SCRATCHPAD_BYTES // (4 * iteration_bytes)
    wanted = -(-measured // (2 * beats))
    # A lone row starts a cycle earlier than one that another may continue: hence no walk of one.
    return max(2, min(1 << (wanted - 1).bit_length(), most))


def _case(
    pattern: str,
    path: str,
    width: int,
    row_bytes: int,
    offsets: tuple[int, int],
    inner: tuple[tuple[int, int], ...],
    stride: int,
    measured: int,
) -> Case:
    whole = Walk(
        run=row_bytes,
        bounds=(1, *(bound for bound, _ in inner)),
        strides=(0, *(stride for _, stride in inner)),
    )
    return Case(
        pattern=pattern,
        path=path,
        row_bytes=row_bytes,
        source_offset=offsets[0] if path.startswith("dram") else 0,
        target_offset=offsets[1] if path.endswith("dram") else 0,
        inner=inner,
        stride=stride,
        count=_iterations(whole.nbytes, max(1, whole.beats(0, width)), measured),
    )


def floor_cases(
    width: int,
    sizes: Sequence[int],
    paths: Sequence[str] = PATHS,
    measured: int = MEASURED_BEATS,
) -> Iterator[Case]:
    """Rows of each size on each path, aligned and not, apart and touching.

    Parameters
    ----------
    width
        Bytes of a bus beat.
    sizes
        Bytes of a row.
    paths
        Some of :data:`PATHS`.
    measured
        Beats between the two points of a slope.
    """
    for path in paths:
        for row_bytes in sizes:
            for offsets in ((0, 0), (SOURCE_OFFSET, TARGET_OFFSET)):
                apart = -(-(row_bytes + TARGET_OFFSET) // width) * width + width
                yield _case("rows", path, width, row_bytes, offsets, (), apart, measured)
                for pattern in ("folded", "fused"):
                    if row_bytes <= 8 * width:
                        yield _case(
                            pattern, path, width, row_bytes, offsets, (), row_bytes, measured
                        )


def tile_cases(width: int, paths: Sequence[str] = PATHS) -> Iterator[Case]:
    """Tiles of 2 to 5 dimensions out of larger arrays, with one descriptor."""
    row_bytes = 2 * width
    for path in paths:
        for dimensions in (2, 3, 4, 5):
            inner: list[tuple[int, int]] = []
            pitch = 3 * width
            for bound in (4, 2, 2)[: dimensions - 2]:
                inner.append((bound, pitch))
                pitch *= bound + 1
            name = f"tile-{dimensions}d"
            yield _case(name, path, width, row_bytes, (0, 0), tuple(inner), pitch, MEASURED_BEATS)


def program_cases(width: int) -> Iterator[Case]:
    """Copies of 64 bytes: one over and over, and each a task of the host or of the sequencer."""
    apart = 64 + width
    for pattern, stride, count in (
        ("repeat", 0, 64),
        ("copies", apart, 8),
        ("sequencer", apart, 128),
    ):
        yield Case(
            pattern=pattern,
            path="dram-dram",
            row_bytes=64,
            source_offset=0,
            target_offset=0,
            stride=stride,
            count=count,
        )
