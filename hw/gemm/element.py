"""The processing element of the systolic array."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..config import ArrayConfig

__all__ = ["Element", "element_control"]


def element_control() -> data.StructLayout:
    """What travels with a step's operands.

    ``valid``: there are operands. ``first``, ``last``: the step begins, ends a tile. ``preload``:
    a first step adds to C instead of to nothing. The last three only with ``valid``.
    """
    return data.StructLayout({"valid": 1, "first": 1, "preload": 1, "last": 1})


def tree_sum(terms: list[Value], limit: int) -> Value:
    """The sum of `terms`, none of them beyond +-`limit`, by a balanced tree of adders.

    Each sum is as wide as it can get and no wider: besides the bits, that keeps synthesis from
    making one adder with carries in logic out of several with carry chains.
    """
    while len(terms) > 1:
        limit *= 2
        pairs = [
            (left + right)[: limit.bit_length() + 1].as_signed()
            for left, right in zip(terms[::2], terms[1::2], strict=False)
        ]
        terms = pairs + terms[len(pairs) * 2 :]
    return terms[0]


class Element(wiring.Component):
    """One accumulator of the array: a ``ku``-long dot product every cycle, in two stages.

    Operands and control that enter in cycle t are multiplied and handed on, registered, in t+1
    (``o_a``, ``o_b``, ``o_control``); the products' sum is accumulated at the end of t+1, so that
    the result of a tile whose last step entered in t stands in ``o_result`` in t+2. Sums are
    modulo 2**accumulator_bits.

    Two chains run down a column, beside the accumulators.

    - *Results*: every cycle ``o_result`` takes the ``i_result`` of the row above, until the element
      loads a result of its own, which it keeps until ``release``: the column then moves down by
      one row a cycle. Loading wins over moving.
    - *C*: every cycle ``o_c`` takes ``i_c``, until ``hold`` (in the cycle of the last move) marks
      what it holds as the element's own, which it keeps until a ``preload`` step has used it. The
      move in the cycle of that use is the first of the next tile's.

    Parameters
    ----------
    array : :class:`~weft.hw.config.ArrayConfig`

    Members
    -------
    i_a, o_a, i_b, o_b : ku * factor_bits
        Signed operands, the lowest index in the lowest bits; none beyond +-``factor_limit``.
    i_control, o_control : :func:`element_control`
        Of the operands in the same cycle.
    i_result, o_result, i_c, o_c : accumulator_bits
    release, hold : 1
        One pulse a tile, common to the column.

    Source: output-stationary systolic arrays (Kung, "Why systolic architectures?", 1982); the
    chains are weft's own.
    """

    def __init__(self, *, array: ArrayConfig) -> None:
        self._array = array
        operands, accumulator = array.ku * array.factor_bits, array.accumulator_bits
        super().__init__(
            {
                "i_a": In(operands),
                "i_b": In(operands),
                "i_control": In(element_control()),
                "i_result": In(accumulator),
                "i_c": In(accumulator),
                "release": In(1),
                "hold": In(1),
                "o_a": Out(operands),
                "o_b": Out(operands),
                "o_control": Out(element_control()),
                "o_result": Out(accumulator),
                "o_c": Out(accumulator),
            }
        )

    @property
    def array(self) -> ArrayConfig:
        return self._array

    def elaborate(self, platform: object) -> Module:
        m = Module()
        count, bits = self._array.ku, self._array.factor_bits
        limit = self._array.factor_limit**2
        width = limit.bit_length() + 1
        # One register for all products: the simulator pays by the signal.
        products = Signal(count * width)
        accumulator = Signal(self._array.accumulator_bits)
        own_result = Signal()
        own_c = Signal()

        def operand(packed: Value, index: int, width: int) -> Value:
            return packed[index * width : (index + 1) * width].as_signed()

        m.d.sync += self.o_control.eq(self.i_control)
        with m.If(self.i_control.valid):
            m.d.sync += [
                self.o_a.eq(self.i_a),
                self.o_b.eq(self.i_b),
                products.eq(
                    Cat(
                        (operand(self.i_a, k, bits) * operand(self.i_b, k, bits))[:width]
                        for k in range(count)
                    )
                ),
            ]

        # From here on a stage later: the control that goes with `products`.
        step = self.o_control
        dot = tree_sum([operand(products, k, width) for k in range(count)], limit)
        # Two registers load it. Synthesis merges the two copies; as a signal of its own it would be
        # a combinational process in every element for the simulator.
        total = Mux(step.preload, self.o_c, Mux(step.first, 0, accumulator)) + dot
        with m.If(step.last):
            m.d.sync += [self.o_result.eq(total), own_result.eq(1)]
        with m.Else():
            with m.If(step.valid):
                m.d.sync += accumulator.eq(total)
            with m.If(self.release | ~own_result):
                m.d.sync += [self.o_result.eq(self.i_result), own_result.eq(0)]

        with m.If(step.preload | ~own_c):
            m.d.sync += [self.o_c.eq(self.i_c), own_c.eq(self.hold)]
        return m
