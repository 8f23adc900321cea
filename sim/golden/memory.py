"""A scratchpad as an array of bytes: what any order of grants must leave and answer."""

import numpy as np

from weft.hw.config import MemoryConfig

__all__ = ["Words"]


class Words:
    """The contents of a scratchpad, 0 at first; a word is its bytes, lowest first."""

    def __init__(self, memory: MemoryConfig) -> None:
        self.bytes = np.zeros((memory.banks, memory.rows, memory.word_bytes), dtype=np.uint8)

    def read(self, bank: int, row: int) -> int:
        return int.from_bytes(self.bytes[bank, row].tobytes(), "little")

    def write(self, bank: int, row: int, data: int, strobe: int) -> None:
        """Store the bytes of `data` whose bit in `strobe` is set."""
        size = self.bytes.shape[2]
        new = np.frombuffer(data.to_bytes(size, "little"), dtype=np.uint8)
        kept = [index for index in range(size) if strobe >> index & 1]
        self.bytes[bank, row, kept] = new[kept]
