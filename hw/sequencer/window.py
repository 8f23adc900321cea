"""The next two words of a program, out of pieces that hold two or one."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..bus.axi import Response
from ..config import DmaConfig
from .fetcher import WORD_BITS, piece_words, program_piece

__all__ = ["WordWindow", "program_word"]


def program_word() -> data.StructLayout:
    """A 64-bit ``word`` of a program, and how the bus answered its beat."""
    return data.StructLayout({"word": WORD_BITS, "resp": Response})


class WordWindow(wiring.Component):
    """Shows the next two words, of which any number is taken in a cycle.

    A register keeps the word that a piece has too many, so that two words a cycle pass wherever an
    instruction begins; of pieces of one word, the first keeps in it until the second comes::

        piece       0 1      2 3      4 5      4 5      6 7
        kept        -        1        3        -        5
        words       0 1      1 2      3 4      4 5      5 6
        taken       1        2        1        1        2

    ``words`` and ``level`` are combinational from ``i``, and ``i.ready`` is from ``taken``.

    Parameters
    ----------
    dma
        The bus, from which the pieces come.

    Members
    -------
    i : stream of :func:`~weft.hw.sequencer.fetcher.program_piece`
    words : array of 2 of :func:`program_word`
    level : `range(3)`
        How many of them are there.
    taken : `range(3)`
        How many of those are taken in this cycle.
    restart : 1
        Pulse: nothing is kept. The next word is the first of a piece, or, with ``odd``, its last:
        such a piece is offered a cycle later.
    odd : 1
    """

    def __init__(self, *, dma: DmaConfig) -> None:
        self._dma = dma
        super().__init__(
            {
                "i": In(stream.Signature(program_piece(dma))),
                "words": Out(data.ArrayLayout(program_word(), 2)),
                "level": Out(range(3)),
                "taken": In(range(3)),
                "restart": In(1),
                "odd": In(1),
            }
        )

    @property
    def dma(self) -> DmaConfig:
        return self._dma

    def elaborate(self, platform: object) -> Module:
        m = Module()
        piece = self.i.payload
        size = piece_words(self._dma)
        came = [Signal(program_word(), name=f"came_{index}") for index in range(size)]
        for index, word in enumerate(came):
            m.d.comb += [word.word.eq(piece.words[index]), word.resp.eq(piece.resp)]
        kept, keeps = Signal(program_word()), Signal()
        skips = Signal()  # The first word of the piece lies before the one that comes next.
        with m.If(keeps):
            m.d.comb += [
                self.words[0].eq(kept),
                self.words[1].eq(came[0]),
                self.level.eq(Mux(self.i.valid, 2, 1)),
                self.i.ready.eq(self.taken == 2),
            ]
        with m.Else():
            m.d.comb += [
                self.words[0].eq(came[0]),
                self.words[1].eq(came[-1]),
                self.level.eq(Mux(self.i.valid & ~skips, size, 0)),
                self.i.ready.eq((self.taken != 0) | skips | (size == 1)),
            ]
        accepted = self.i.valid & self.i.ready
        with m.If(accepted):
            m.d.sync += [kept.eq(came[-1]), skips.eq(0)]
        # No more than one word stays, so the parity of what comes and goes says whether one does.
        m.d.sync += keeps.eq(keeps ^ self.taken[0] ^ (accepted & (skips | (size == 1))))
        with m.If(self.restart):
            m.d.sync += [keeps.eq(0), skips.eq(self.odd if size == 2 else 0)]
        return m
