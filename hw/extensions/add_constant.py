"""Adds a constant to every element of a beat."""

from amaranth.hdl import Module

from ..bus.elements import add_constant_word, add_elements, spread
from ..registry import EXTENSIONS
from .extension import Extension

__all__ = ["AddConstant"]


class AddConstant(Extension):
    """Adds the BD's constant to each element of 1, 2, 4 or 8 bytes, modulo its range.

    The parameter is :func:`~weft.hw.bus.elements.add_constant_word`; a beat is a multiple of 8
    bytes, and its first element begins with its first byte.
    """

    parameter_bits = EXTENSIONS["add_constant"].parameter_bits
    cut = True

    def elaborate(self, platform: object) -> Module:
        m = Module()
        given, word = self.i.payload, add_constant_word()(self.parameter)
        long = spread(m, word.constant, word.size)
        addend = long.replicate(self._width // len(long))
        m.d.comb += [
            self.o.valid.eq(self.i.valid),
            self.i.ready.eq(self.o.ready),
            self.o.payload.data.eq(add_elements(m, given.data, addend, word.size)),
            self.o.payload.mark.eq(given.mark),
            self.o.payload.end.eq(given.end),
            self.o.payload.error.eq(given.error),
        ]
        return m
