"""The bank remapper: from a word's number to the bank and row that hold it."""

from amaranth.hdl import Cat, Mux, Value

from ..config import MemoryConfig

__all__ = ["remap"]


def remap(memory: MemoryConfig, word: Value, mode: Value) -> tuple[Value, Value]:
    """The bank and the row of word number `word` in addressing mode `mode`, combinational.

    Banks stand in groups of g = ``memory.groups[mode]``. Words run across the banks of a group row
    by row, and then on to the next group: all banks in one group is fully interleaved (FIMA), one
    bank a group not interleaved at all (NIMA), anything between grouped (GIMA). Each mode permutes
    the bits of the number, and so is a bijection::

        number = {group, row, bank in the group}     bank = {group, bank in the group}

    The host picks the mode BD by BD; data are only found again in the mode in which they were
    written. A `mode` beyond ``memory.groups`` acts as mode 0; the mover refuses such a BD.

    Parameters
    ----------
    memory
        The scratchpad.
    word
        Number of the word, of which ``log2(banks * rows)`` bits count.
    mode
        Index into ``memory.groups``.

    Source: DataMaestro, section III-D.
    """
    row_bits = (memory.rows - 1).bit_length()
    word_bits = row_bits + (memory.banks - 1).bit_length()

    def place(group: int) -> tuple[Value, Value]:
        in_group = (group - 1).bit_length()
        above = in_group + row_bits
        return Cat(word[:in_group], word[above:word_bits]), word[in_group:above]

    bank, row = place(memory.groups[0])
    for index, group in enumerate(memory.groups[1:], 1):
        grouped_bank, grouped_row = place(group)
        bank, row = Mux(mode == index, grouped_bank, bank), Mux(mode == index, grouped_row, row)
    return bank, row
