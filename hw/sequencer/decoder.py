"""From the words of a program to operations that can be executed in one step."""

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..bus.axi import Response
from ..bus.opcodes import (
    ADD_ARGUMENT,
    ARGUMENT_BITS,
    ARGUMENT_LOW,
    FORMS,
    OPCODE_BITS,
    Opcode,
    instruction,
)
from ..bus.registers import PAGE_BYTES
from ..bus.wires import adopt
from ..config import AcceleratorConfig
from .fetcher import WORD_BITS, program_piece
from .window import WordWindow

__all__ = ["REGISTERS", "ProgramDecoder", "decoded"]

REGISTERS = PAGE_BYTES // 4
"""Of a page: that many may be written at once."""


def decoded() -> data.StructLayout:
    """What the executor does in one step: an instruction, or one payload word of a BLOCK_WRITE.

    ``op``, ``target``, ``arg`` and ``imm`` as in the instruction; of a BLOCK_WRITE ``arg`` is where
    this payload word goes. ``operand`` is the payload, or the immediate of an instruction without
    one, and ``addend`` the argument that is to be added to it, or 0. ``behind``: the index of the
    register behind the last one of a BLOCK_WRITE, if ``imm`` has no bits beyond ``REGISTERS``.
    ``pair``: both halves of the operand are written. ``words`` of the program are used up by it; it
    is the ``last`` of its instruction, or ``continues`` it, or both. ``first`` and ``second``: how
    the bus answered the words.
    """
    return data.StructLayout(
        dict(instruction().members)
        | {"operand": WORD_BITS, "addend": WORD_BITS, "behind": REGISTERS.bit_length() + 1}
        | {"pair": 1, "words": range(3), "last": 1, "continues": 1}
        | {"first": Response, "second": Response}
    )


class ProgramDecoder(wiring.Component):
    """Takes each instruction with its payload and its argument.

    An operation is made in every cycle in which ``o`` is empty or being taken, and offered in the
    next: an instruction and its first payload word at once, or one more payload word of a
    BLOCK_WRITE. It is made from the next two words of the program; of a bus of 64 bits, which
    brings one a cycle, an instruction with a payload takes two cycles::

        cycle    t          t+1          t+2          t+3          t+4
        words    PUSH_AT    PUSH_AT      BLOCK_WRITE  3, 4         WRITE
                 and base   and base     1, 2
        o                   PUSH_AT      PUSH_AT      1, 2 -----   3, 4 -----

    Nothing is checked. An instruction with a flaw becomes an operation like any other; what comes
    after it is meaningless until ``restart``.

    Parameters
    ----------
    config
        The system.

    Members
    -------
    i : stream of :func:`~weft.hw.sequencer.fetcher.program_piece`
    o : stream of :func:`decoded`
    index : 4
    argument : 64
        The argument `index`, combinational from it.
    restart : 1
        Pulse: what is held is forgotten, and the next instruction is in the next piece.
    odd : 1
        With ``restart``: it is the second word there, of pieces of two.
    """

    def __init__(self, *, config: AcceleratorConfig) -> None:
        assert config.dma is not None
        self._config = config
        self._dma = config.dma
        super().__init__(
            {
                "i": In(stream.Signature(program_piece(config.dma))),
                "o": Out(stream.Signature(decoded())),
                "index": Out(ARGUMENT_BITS),
                "argument": In(WORD_BITS),
                "restart": In(1),
                "odd": In(1),
            }
        )

    @property
    def config(self) -> AcceleratorConfig:
        return self._config

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.window = window = WordWindow(dma=self._dma)
        for name in ("i", "restart", "odd"):
            adopt(window, name, getattr(self, name))
        o, (first, second) = self.o.payload, window.words
        head = Signal(instruction())
        continues = Signal()  # The first word is a payload of the block on `o`.
        m.d.comb += head.eq(first.word)

        def is_one(*opcodes: Opcode) -> Value:
            # Its low bits will do: what is taken for an opcode that it is not is never executed.
            result = Signal()
            with m.Switch(head.op[:OPCODE_BITS]), m.Case(*opcodes):
                m.d.comb += result.eq(1)
            return result

        has_payload = is_one(*(op for op, form in FORMS.items() if form.payload))
        is_block, is_argument = is_one(Opcode.BLOCK_WRITE), is_one(Opcode.ARG)
        imm = Value.cast(head.imm)
        left = Signal(range(REGISTERS + 1))  # Halves of a block that are still to be written.
        low, high = imm[:ARGUMENT_BITS], imm[ARGUMENT_LOW : ARGUMENT_LOW + ARGUMENT_BITS]
        both, made, words = Signal(), Signal(), Signal(range(3))
        m.d.comb += [
            left.eq(Mux(continues, o.imm - 2, imm)),
            self.index.eq(Mux(is_argument, low, high)),
            both.eq(~continues & has_payload),
            words.eq(Mux(both, 2, 1)),
            made.eq((window.level >= words) & (~self.o.valid | self.o.ready)),
            window.taken.eq(Mux(made, words, 0)),
        ]
        more = (continues | is_block) & (left > 2)
        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        with m.If(made):
            m.d.sync += [
                self.o.valid.eq(1),
                continues.eq(more),
                o.pair.eq(Mux(continues | is_block, left >= 2, is_argument)),
                o.words.eq(words),
                o.last.eq(~more),
                o.continues.eq(continues),
                o.first.eq(first.resp),
                o.second.eq(Mux(both, second.resp, Response.OKAY)),
            ]
            with m.If(continues):
                m.d.sync += [
                    o.arg.eq(o.arg + 8),
                    o.imm.eq(left),
                    o.operand.eq(first.word),
                    o.addend.eq(0),
                ]
            with m.Else():
                adds = is_argument | (is_one(Opcode.PUSH_AT) & (imm & ADD_ARGUMENT).any())
                m.d.sync += [
                    *(o[name].eq(head[name]) for name in ("op", "target", "arg", "imm")),
                    o.operand.eq(Mux(has_payload, second.word, imm)),
                    o.behind.eq(head.imm + (head.arg >> 2)),
                    o.addend.eq(Mux(adds, self.argument, 0)),
                ]
        with m.If(self.restart):
            m.d.sync += [self.o.valid.eq(0), continues.eq(0)]
        return m
