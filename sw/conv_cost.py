"""What a way to cut a convolution into tiles costs, before anything is mapped.

An estimate of cycles: the array's steps, with what its banks and the DMA's beats in them cost,
against the beats of the DMA under them; and what nothing overlaps, the first loads and the last
store.
"""

from __future__ import annotations

from functools import lru_cache

from .blocked import BlockedLayout
from .conv import ConvMapper
from .conv_layout import ConvShape
from .convolution import Axis
from .gemm_layout import TileShape
from .pieces import cuts
from .placement import stand_together

__all__ = ["ConvEstimator"]

PASS_CYCLES = 100
"""About what it takes to push a pass."""

BEATS_A_CYCLE = 8
"""Beats of the DMA, under the array's work, that are worth a cycle of it."""

OUT_OF_STEP = 12
"""Of so many beats of A one is lost where its channels come to its banks at different times."""


class ConvEstimator:
    """What plans of one mapper cost.

    Parameters
    ----------
    mapper
        The mapping.
    windowed
        Whether its problem is a windowed one.
    with_c
        Whether it adds to something that is loaded for each result.
    to_d, to_e
        What its results are.
    """

    def __init__(
        self, mapper: ConvMapper, *, windowed: bool, with_c: bool, to_d: bool, to_e: bool
    ) -> None:
        self._mapper = mapper
        self._beat = mapper.gemm.beat
        self._latency = 2 * mapper.array.mu + mapper.array.nu + 1
        self._moves_d, self._to_e = with_c + to_d, to_e
        # Words of a step of the result: C and D, E and S.
        self._words = self._moves_d * mapper.d.channels
        if to_e:
            word = mapper.config.memory.bank_bits
            self._words += (mapper.array.e_bits + mapper.array.s_bits) // word
        columns = mapper.problem.columns
        self._apart = windowed or columns.steps(columns.outputs, columns.kernel)[0] > 1
        # An array's mover takes all that a group of as many banks as it has channels gives.
        self._crowded_a, self._crowded_b, self._crowded_d = (
            regions[0].group <= mover.channels and stand_together(mapper.config.memory, regions)
            for regions, mover in (
                (mapper.placement.a, mapper.a),
                (mapper.placement.b, mapper.b),
                (mapper.placement.d, mapper.d),
            )
        )

    def cost(self, shape: ConvShape, filters_first: bool) -> tuple[float, int] | None:
        """Cycles, with something for what the DMA takes from others and a pass may, and passes.

        None where an operand that changes while the array works has but one region.
        """
        mapper, problem, placement = self._mapper, self._mapper.problem, self._mapper.placement
        outputs = _count(problem.rows.outputs, shape.rows)
        outputs *= _count(problem.columns.outputs, shape.columns)
        filters = _count(problem.filters, shape.filters)
        kernel = _count(problem.rows.kernel, shape.down)
        kernel *= _count(problem.columns.kernel, shape.across)
        kernel *= _count(problem.channels, shape.channels)
        # How often all of the image, and all of the weights, are loaded.
        if filters_first:
            kept_a, kept_b = outputs * kernel, kernel
        else:
            kept_a, kept_b = kernel, filters * kernel
        again_a = 1 if kept_a <= len(placement.a) else filters
        again_b = 1 if kept_b <= len(placement.b) else outputs
        passes = outputs * filters * kernel
        for regions, loads in (
            (placement.a, again_a * outputs * kernel),
            (placement.b, again_b * filters * kernel),
            (placement.d, outputs * filters),
        ):
            if len(regions) == 1 and loads > 1:
                return None

        pixels = _loaded(problem.rows, shape.rows, shape.down)
        pixels *= _loaded(problem.columns, shape.columns, shape.across)
        b, d = mapper.layout_b(shape), mapper.layout_d(shape)
        image = again_a * self._image(pixels, problem.channels, shape.channels)
        first_a = self._image(mapper.pixels(shape), shape.channels, shape.channels)
        first_b = self._weights(b, shape)
        loads_b = again_b * filters * kernel
        row_bytes = self._moves_d * d.row_bytes
        if self._to_e:
            row_bytes += mapper.layout_e(shape).row_bytes
        last = shape.rows * shape.columns * row_bytes // self._beat
        parameters = 0
        if self._to_e:
            s = mapper.gemm.layout_s(TileShape(m=1, n=shape.filters, k=1))
            parameters = -(-s.row_bytes // self._beat)
        results = outputs * filters * (last + parameters)

        fetches = passes * mapper.fetches(shape) * mapper.folds(shape)
        steps = max(passes * mapper.cycles(shape), fetches)
        # Writing results and storing them, with C reading and loading that, in one group of banks.
        beats_d = passes * mapper.steps(shape) // mapper.depth(shape)
        share = self._words // placement.d[0].group
        if self._crowded_d:
            share *= 2
        steps = max(steps, beats_d * share * 4 // 3)
        if self._crowded_a and image > first_a:
            # Channels that a load has put out of step meet at a bank ever after.
            steps = max(steps, fetches + fetches // OUT_OF_STEP)
        if self._crowded_b:
            # In the banks, where rows of B stand densely, however they come.
            steps += (loads_b - 1) * _count(b.rows * b.row_bytes, self._beat)
        alone, beats = first_a + first_b + parameters + last, image + loads_b * first_b + results
        cycles = alone + max(steps, beats - alone, PASS_CYCLES * passes)
        # Where the array waits for a pass, its last results take as long to come out; the more the
        # DMA has to do, a beat in two cycles, the more often it waits.
        dry = passes * self._latency * min(2 * beats / steps, 1)
        # The first pass hides what is loaded for the second, a beat in two cycles, or the array
        # waits for it.
        second = first_a * (kernel > 1 or (outputs > 1 and (filters_first or filters == 1)))
        second += first_b * (kernel > 1 or (filters > 1 and (outputs == 1 or not filters_first)))
        late = 2 * second - mapper.steps(shape) * mapper.folds(shape)
        if passes > 1 and late > 0:
            dry += late + self._latency
        return cycles + dry + beats / BEATS_A_CYCLE, passes

    def _weights(self, layout: BlockedLayout, shape: ConvShape) -> int:
        """Beats of a tile's weights: of some filters, a run for each of their rows in DRAM."""
        beats = _count(layout.rows * layout.row_bytes, self._beat)
        if shape.filters == self._mapper.problem.filters:
            return beats
        return max(beats, layout.rows * _count(shape.filters, self._beat))

    def _image(self, pixels: int, channels: int, piece: int) -> int:
        """Beats of so many pixels in pieces of so many of their channels."""
        width = self._mapper.blocks(piece) * self._mapper.block
        pieces = _count(channels, piece)
        if self._apart or pieces > 1 or piece % self._mapper.array.ku:
            # A run a pixel, for they do not continue one another.
            return pixels * pieces * _count(width, self._beat)
        return _count(pixels * width, self._beat)


@lru_cache(maxsize=1 << 12)
def _loaded(axis: Axis, outputs: int, taps: int) -> int:
    """Indices of the axis that are loaded for all pieces of so many outputs and taps."""
    return sum(
        axis.reach(some, through).count
        for some in cuts(axis.outputs, outputs)
        for through in cuts(axis.kernel, taps)
    )


def _count(extent: int, piece: int) -> int:
    return -(-extent // piece)
