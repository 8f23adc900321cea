"""The grid of processing elements with its skews."""

from itertools import pairwise

from amaranth.hdl import Cat, Module, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..bus.wires import adopt
from ..config import ArrayConfig
from .element import Element, element_control

__all__ = ["Mesh"]


def delay(m: Module, source: Value, cycles: int, *, into: Signal) -> None:
    """Make `into` what `source` was `cycles` >= 1 cycles ago; the wait is one shift register."""
    target = Value.cast(into)
    if cycles == 1:
        m.d.sync += target.eq(source)
        return
    waiting = Signal((cycles - 1) * len(target), name=f"{target.name}_waiting")
    m.d.sync += waiting.eq(Cat(source, waiting))
    m.d.sync += target.eq(waiting[-len(target) :])


class Mesh(wiring.Component):
    """``mu`` x ``nu`` elements: A moves right, B and control move down, C comes in at the top and
    results leave at the bottom.

    Lane i of A and lane j of B, C, hold and control wait i and j cycles here, so that element
    (i, j) sees the operands of cycle t in t+i+j. When the last step of a tile enters in cycle t,
    the bottom row has its result in t+mu+1+j; the columns wait for the last one. In t+mu+nu,
    therefore, ``release`` is up and ``o_d`` is row mu-1 of the tile; rows mu-2, ..., 0 follow, one
    a cycle.

    It never stalls. Its user keeps the last steps of two tiles at least mu cycles apart. A tile
    with C is given mu rows of it on end, ``hold`` with the last; its first step enters in that
    cycle or later, and the next tile's rows begin after that step.

    Parameters
    ----------
    array : :class:`~weft.hw.config.ArrayConfig`

    Members
    -------
    i_control : :func:`~weft.hw.gemm.element.element_control`
    i_a, i_b : mu, nu lanes of ku * factor_bits
        Row i of the A step; column j of the B step.
    i_c, o_d : nu lanes of accumulator_bits
        One row of a tile, the bottom one first.
    hold : 1
        With row 0 of a tile's C.
    release : 1
        With row mu-1 of a tile's results.
    """

    def __init__(self, *, array: ArrayConfig) -> None:
        self._array = array
        operands = array.ku * array.factor_bits
        super().__init__(
            {
                "i_control": In(element_control()),
                "i_a": In(operands).array(array.mu),
                "i_b": In(operands).array(array.nu),
                "i_c": In(array.accumulator_bits).array(array.nu),
                "hold": In(1),
                "o_d": Out(array.accumulator_bits).array(array.nu),
                "release": Out(1),
            }
        )

    @property
    def array(self) -> ArrayConfig:
        return self._array

    def elaborate(self, platform: object) -> Module:
        m = Module()
        mu, nu = self._array.mu, self._array.nu
        elements = [[Element(array=self._array) for _ in range(nu)] for _ in range(mu)]
        for i, row in enumerate(elements):
            for j, element in enumerate(row):
                m.submodules[f"element_{i}_{j}"] = element

        # Elements share the very signals of their neighbours; where a lane waits for its skew, the
        # end of the wait drives the port of the element at the edge.
        for i, row in enumerate(elements):
            for left, element in pairwise(row):
                adopt(element, "i_a", left.o_a)
            if i == 0:
                adopt(row[0], "i_a", self.i_a[0])
            else:
                delay(m, self.i_a[i], i, into=row[0].i_a)

        for j, column in enumerate(zip(*elements, strict=True)):
            top, bottom = column[0], column[-1]
            release = self.release if j == nu - 1 else Signal(name=f"release_{j}")
            m.d.sync += release.eq(bottom.o_control.last)
            if j == 0:
                adopt(top, "i_control", self.i_control)
                adopt(top, "i_b", self.i_b[0])
                adopt(top, "i_c", self.i_c[0])
                adopt(top, "hold", self.hold)
            else:
                before = elements[0][j - 1]
                delay(m, Value.cast(before.i_control), 1, into=top.i_control)
                delay(m, before.hold, 1, into=top.hold)
                delay(m, self.i_b[j], j, into=top.i_b)
                delay(m, self.i_c[j], j, into=top.i_c)
            for above, element in pairwise(column):
                adopt(element, "i_control", above.o_control)
                adopt(element, "i_b", above.o_b)
                adopt(element, "i_c", above.o_c)
                adopt(element, "i_result", above.o_result)
                adopt(element, "hold", top.hold)
            for element in column:
                adopt(element, "release", release)
            if j == nu - 1:
                adopt(bottom, "o_result", self.o_d[j])
            else:
                delay(m, bottom.o_result, nu - 1 - j, into=self.o_d[j])
        return m
