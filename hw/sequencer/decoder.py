"""From the words of a program to operations that can be executed at once."""

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..bus.axi import Response
from ..bus.opcodes import (
    ADD_ARGUMENT,
    ARGUMENT_BITS,
    ARGUMENT_LOW,
    FORMS,
    Form,
    Opcode,
    StopCode,
    instruction,
)
from ..bus.registers import PAGE_BYTES
from ..bus.wires import adopt
from ..config import AcceleratorConfig
from ..mover.locks import LOCK_DELTA_BITS
from .fetcher import POSITION_BITS, WORD_BITS, program_piece
from .window import WordWindow

__all__ = ["ProgramDecoder", "operation"]


def operation() -> data.StructLayout:
    """What the executor does in one step: an instruction, or one payload word of a BLOCK_WRITE.

    ``op``, ``target``, ``arg`` and ``imm`` as in the instruction; of a BLOCK_WRITE ``arg`` is where
    this payload word goes. ``operand`` is the payload (plus the argument), or the immediate of a
    WRITE. ``pair``: both halves of it are written. ``position`` is that of the instruction.
    ``code``: why it must not be executed, or NONE.
    """
    fields = dict(instruction().members)
    return data.StructLayout(
        fields
        | {"operand": WORD_BITS, "pair": 1, "position": range(1 << POSITION_BITS), "code": StopCode}
    )


class ProgramDecoder(wiring.Component):
    """Takes each instruction with its payload, adds the arguments, and checks the fields.

    An operation is made in every cycle in which ``o`` is empty or being taken, and offered in the
    next: an instruction and its first payload word at once, or one more payload word of a
    BLOCK_WRITE. It is made from the next two words of the program; of a bus of 64 bits, which
    brings one a cycle, an instruction with a payload takes two cycles::

        cycle    t          t+1          t+2          t+3          t+4
        words    PUSH_AT    PUSH_AT      BLOCK_WRITE  3, 4         WRITE
                 and base   and base     1, 2
        o                   PUSH_AT      PUSH_AT      1, 2 -----   3, 4 -----

    An instruction with a flaw becomes an operation like any other; what comes after it is
    meaningless until ``restart``.

    Parameters
    ----------
    config
        The system.

    Members
    -------
    i : stream of :func:`~weft.hw.sequencer.fetcher.program_piece`
    o : stream of :func:`operation`
    arguments : array of 64 bits
        Constant while a program runs.
    restart : 1
        Pulse: what is held is forgotten, and the next instruction is that at ``restart_position``,
        which lies in the next piece.
    restart_position : 32
    position : 32
        That of the instruction of which the next operation will be.
    """

    def __init__(self, *, config: AcceleratorConfig) -> None:
        assert config.sequencer is not None
        assert config.dma is not None
        self._config = config
        self._dma = config.dma
        self._arguments = config.sequencer.arguments
        super().__init__(
            {
                "i": In(stream.Signature(program_piece(config.dma))),
                "o": Out(stream.Signature(operation())),
                "arguments": In(data.ArrayLayout(WORD_BITS, self._arguments)),
                "restart": In(1),
                "restart_position": In(POSITION_BITS),
                "position": Out(POSITION_BITS),
            }
        )

    @property
    def config(self) -> AcceleratorConfig:
        return self._config

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.window = window = WordWindow(dma=self._dma)
        adopt(window, "i", self.i)
        o, (first, second) = self.o.payload, window.words
        ahead, head = Signal(POSITION_BITS), Signal(instruction())
        continues = Signal()  # The first word is a payload of the block on `o`.
        m.d.comb += [
            head.eq(first.word),
            self.position.eq(Mux(continues, o.position, ahead)),
            window.restart.eq(self.restart),
            window.odd.eq(self.restart_position[0]),
        ]
        flaw = Signal(StopCode)
        self._elaborate_checks(m, head, continues, first, flaw)

        # How many words the next operation takes, and whether it can be made.
        sound, both, made, more = Signal(), Signal(), Signal(), Signal()
        code = Signal(StopCode)
        has_payload = self._among(head.op, *(op for op, form in FORMS.items() if form.payload))
        is_block = head.op == Opcode.BLOCK_WRITE
        left = Mux(continues, o.imm - 2, head.imm)
        m.d.comb += [
            sound.eq(flaw == StopCode.NONE),
            both.eq(~continues & has_payload),
            made.eq((window.level >= Mux(both, 2, 1)) & (~self.o.valid | self.o.ready)),
            window.taken.eq(Mux(made, Mux(both, 2, 1), 0)),
            more.eq((continues | is_block) & (left > 2) & sound),
            code.eq(flaw),
        ]
        with m.If(both & sound):
            # A mask has 32 bits.
            with m.If((head.op == Opcode.MASKED_WRITE) & second.word[32:].any()):
                m.d.comb += code.eq(StopCode.BAD_ARGUMENT)
            self._elaborate_response(m, second.resp, code)
        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        with m.If(made):
            m.d.sync += [
                self.o.valid.eq(1),
                ahead.eq(ahead + Mux(both, 2, 1)),
                continues.eq(more),
                o.imm.eq(left),
                o.pair.eq(Mux(continues | is_block, left >= 2, head.op == Opcode.ARG)),
                o.code.eq(code),
            ]
            with m.If(continues):
                m.d.sync += [o.arg.eq(o.arg + 8), o.operand.eq(first.word)]
            with m.Else():
                m.d.sync += [
                    *(o[name].eq(head[name]) for name in ("op", "target", "arg")),
                    o.operand.eq(Mux(has_payload, second.word + self._addend(head), head.imm)),
                    o.position.eq(ahead),
                ]
        with m.If(self.restart):
            m.d.sync += [self.o.valid.eq(0), continues.eq(0), ahead.eq(self.restart_position)]
        return m

    @staticmethod
    def _among(op: Value, *opcodes: Opcode) -> Value:
        result = op == opcodes[0]
        for opcode in opcodes[1:]:
            result = result | (op == opcode)
        return result

    def _addend(self, now: data.View) -> Value:
        """The argument that is added to the payload, or 0."""
        imm = Value.cast(now.imm)
        low = imm[:ARGUMENT_BITS]
        high = imm[ARGUMENT_LOW : ARGUMENT_LOW + ARGUMENT_BITS]
        adds = (now.op == Opcode.PUSH_AT) & (imm & ADD_ARGUMENT).any()
        index = Mux(now.op == Opcode.ARG, low, high)
        return Mux((now.op == Opcode.ARG) | adds, self.arguments[index], 0)

    def _elaborate_checks(
        self, m: Module, now: data.View, continues: Value, first: data.View, flaw: Signal
    ) -> None:
        """The first flaw of what the word `first` is; the later assignment wins."""
        imm, arg = Value.cast(now.imm), Value.cast(now.arg)
        legal = Signal(instruction())
        known, target_good, argument_good = Signal(), Signal(), Signal(init=1)
        movers, pages = len(self._config.movers), 1 + len(self._config.movers)
        index = imm[ARGUMENT_LOW : ARGUMENT_LOW + ARGUMENT_BITS]
        m.d.comb += [target_good.eq(1), argument_good.eq(1)]
        with m.Switch(now.op):
            for opcode, form in FORMS.items():
                with m.Case(opcode):
                    self._allow(m, legal, form)
                    m.d.comb += known.eq(1)
                    # The sequencer's own page, behind the movers', is none of them.
                    if form.arg and opcode != Opcode.LOOP:
                        m.d.comb += target_good.eq(now.target < pages)
                    if opcode in (Opcode.PUSH, Opcode.PUSH_AT, Opcode.WAIT):
                        m.d.comb += target_good.eq((now.target != 0) & (now.target <= movers))
                    if opcode in (Opcode.ACQUIRE, Opcode.RELEASE, Opcode.SET_LOCK):
                        m.d.comb += target_good.eq(now.target < self._config.locks)
                    match opcode:
                        case Opcode.BLOCK_WRITE:
                            room = (PAGE_BYTES - arg) >> 2
                            m.d.comb += argument_good.eq((imm != 0) & (imm <= room))
                        case Opcode.ARG:
                            # Two registers, and an argument that exists.
                            m.d.comb += argument_good.eq(
                                (arg <= PAGE_BYTES - 8) & (imm < self._arguments)
                            )
                        case Opcode.PUSH_AT:
                            m.d.comb += argument_good.eq(
                                Mux((imm & ADD_ARGUMENT).any(), index < self._arguments, index == 0)
                            )
                        case Opcode.RELEASE:
                            beyond = imm[LOCK_DELTA_BITS - 1 :]
                            m.d.comb += argument_good.eq(beyond.all() | ~beyond.any())
                        case Opcode.LOOP:
                            m.d.comb += argument_good.eq((imm != 0) & (arg <= self.position))
        beyond_form = Value.cast(now) & ~Value.cast(legal)
        m.d.comb += flaw.eq(StopCode.NONE)
        with m.If(~continues):
            with m.If(beyond_form.any() | ~argument_good):
                m.d.comb += flaw.eq(StopCode.BAD_ARGUMENT)
            with m.If(~target_good):
                m.d.comb += flaw.eq(StopCode.BAD_TARGET)
            with m.If(~known):
                m.d.comb += flaw.eq(StopCode.BAD_OPCODE)
        self._elaborate_response(m, first.resp, flaw)

    @staticmethod
    def _elaborate_response(m: Module, response: Value, flaw: Signal) -> None:
        """A word that the bus did not give is a flaw before all others."""
        with m.If(response == Response.SLVERR):
            m.d.comb += flaw.eq(StopCode.FETCH_SLVERR)
        with m.If(response == Response.DECERR):
            m.d.comb += flaw.eq(StopCode.FETCH_DECERR)

    @staticmethod
    def _allow(m: Module, legal: data.View, form: Form) -> None:
        m.d.comb += [
            legal.op.eq(0xFF),
            legal.target.eq(form.target),
            legal.arg.eq(form.arg),
            legal.imm.eq(form.imm),
        ]
