"""Adds a constant to every element of a beat."""

from amaranth.hdl import Module, Value

from ..bus.elements import add_constant_word, add_elements, spread
from ..registry import EXTENSIONS
from .mapper import Mapper

__all__ = ["AddConstant"]


class AddConstant(Mapper):
    """Adds the BD's constant to each element of 1, 2, 4 or 8 bytes, modulo its range.

    The parameter is :func:`~weft.hw.bus.elements.add_constant_word`; a beat is a multiple of 8
    bytes, and its first element begins with its first byte.
    """

    parameter_bits = EXTENSIONS["add_constant"].parameter_bits
    cut = True

    def changed(self, m: Module, content: Value) -> Value:
        word = add_constant_word()(self.parameter)
        long = spread(m, word.constant, word.size)
        addend = long.replicate(self._width // len(long))
        return add_elements(m, content, addend, word.size)
