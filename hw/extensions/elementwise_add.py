"""Sums of beats, element by element."""

from amaranth.hdl import Module, Value

from ..bus.elements import add_elements
from ..registry import EXTENSIONS
from .reducer import Reducer

__all__ = ["ElementwiseAdd"]


class ElementwiseAdd(Reducer):
    """Adds up the beats of each marked group, element by element, modulo the elements' range.

    The parameter is the size of an element: it has ``2**parameter`` bytes. A residual is a group of
    two: an innermost loop of two iterations whose stride leads from one operand to the other.
    """

    parameter_bits = EXTENSIONS["elementwise_add"].parameter_bits

    def combine(self, m: Module, so_far: Value, given: Value) -> Value:
        return add_elements(m, so_far, given, self.parameter)
