"""The bank remapper: from a word's number to the bank and row that hold it."""

from collections.abc import Mapping

from amaranth.hdl import Cat, Mux, Value

from ..config import MemoryConfig

__all__ = ["BankMap"]


class BankMap:
    """Banks and rows of words, in every addressing mode, from numbers that add up.

    Banks stand in groups of g = ``memory.groups[mode]``. Words run across the banks of a group row
    by row, and then on to the next group: all banks in one group is fully interleaved (FIMA), one
    bank a group not interleaved at all (NIMA), anything between grouped (GIMA). Each mode permutes
    the bits of the number, and so is a bijection::

        number = {group, row, bank in the group}     bank = {group, bank in the group}

    The host picks the mode BD by BD; data are only found again in the mode in which they were
    written. In any other mode than :attr:`modes` a mover acts as in the first of them; it refuses
    such a BD.

    Numbers are *lifted* first: shifted so far that the row stands at the same bits in all modes.
    That can be done to the terms of a sum, so that many sums of few terms need no multiplexer for
    each bit of their rows.

    Parameters
    ----------
    memory
        The scratchpad.
    reach
        Of the mover: groups have at least so many banks.
    known
        How many bits of a number, from the lowest, are not lifted, since the reach says what they
        are.

    Attributes
    ----------
    modes : tuple of int
        Indices into ``memory.groups``.
    most : int
        By how many bits a number grows, at most.

    Source: DataMaestro, section III-D.
    """

    def __init__(self, *, memory: MemoryConfig, reach: int = 0, known: int = 0) -> None:
        self.modes = memory.modes(reach)
        self._bank_bits = (memory.banks - 1).bit_length()
        self._row_bits = (memory.rows - 1).bit_length()
        # Of each mode, the bits of the bank that are in its group.
        self._inside = {mode: (memory.groups[mode] - 1).bit_length() for mode in self.modes}
        self._row = max(self._inside.values()) - known
        self._group = self._row + self._row_bits
        self.most = max(self._shift(mode) for mode in self.modes)

    def _shift(self, mode: int) -> int:
        return max(self._inside.values()) - self._inside[mode]

    def _in_mode(self, mode: Value, values: Mapping[int, Value]) -> Value:
        """That of `values` which is for `mode`."""
        first, *others = self.modes
        value = values[first]
        for other in others:
            value = Mux(mode == other, values[other], value)
        return value

    def lift(self, number: Value, mode: Value) -> Value:
        """`number`, unsigned or signed, without its known bits."""
        return self._in_mode(
            mode, {each: number.shift_left(self._shift(each)) for each in self.modes}
        )

    def place(self, lifted: Value, mode: Value) -> tuple[Value, Value]:
        """Bank, without its known bits, and row of the word with a `lifted` number."""
        banks = {
            each: Cat(
                lifted[self._shift(each) : self._row],
                lifted[self._group : self._group + self._bank_bits - self._inside[each]],
            )
            for each in self.modes
        }
        return self._in_mode(mode, banks), lifted[self._row : self._group]

    def beyond(self, lifted: Value, mode: Value) -> Value:
        """Whether there is no word with a `lifted` number."""
        ends = {each: self._group + self._bank_bits - self._inside[each] for each in self.modes}
        # Nearly all of those bits are the same in all modes.
        last = max(ends.values())
        some = {each: lifted[end:last].any() for each, end in ends.items()}
        return lifted[last:].any() | self._in_mode(mode, some)
