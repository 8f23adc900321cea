"""Largest elements of beats."""

from amaranth.hdl import Cat, Module, Mux, Value

from .reducer import Reducer

__all__ = ["MaxPool"]


class MaxPool(Reducer):
    """The largest of each signed byte over the beats of each marked group."""

    def combine(self, m: Module, so_far: Value, given: Value) -> Value:
        bytes_of = [
            (so_far.word_select(byte, 8), given.word_select(byte, 8))
            for byte in range(self._width // 8)
        ]
        return Cat(Mux(a.as_signed() > b.as_signed(), a, b) for a, b in bytes_of)
