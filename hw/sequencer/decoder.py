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
from ..config import AcceleratorConfig
from ..mover.locks import LOCK_DELTA_BITS
from .fetcher import POSITION_BITS, WORD_BITS, program_word

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
    """Joins each instruction with its payload, adds the arguments, and checks the fields.

    A word is accepted in every cycle in which ``o`` is empty or being taken; the operation that it
    completes is offered in the next. An instruction with a flaw becomes an operation as soon as the
    flaw shows; what comes after it is meaningless until ``restart``.

    Parameters
    ----------
    config
        The system.

    Members
    -------
    i : stream of :func:`~weft.hw.sequencer.fetcher.program_word`
    o : stream of :func:`operation`
    arguments : array of 64 bits
        Constant while a program runs.
    restart : 1
        Pulse: what is held is forgotten, and the next word is that at ``restart_position``.
    restart_position : 32
    position : 32
        That of the instruction being gathered.
    next_target : 8
        ``o.payload.target`` of the next cycle.
    """

    def __init__(self, *, config: AcceleratorConfig) -> None:
        assert config.sequencer is not None
        self._config = config
        self._arguments = config.sequencer.arguments
        super().__init__(
            {
                "i": In(stream.Signature(program_word())),
                "o": Out(stream.Signature(operation())),
                "arguments": In(data.ArrayLayout(WORD_BITS, self._arguments)),
                "restart": In(1),
                "restart_position": In(POSITION_BITS),
                "position": Out(POSITION_BITS),
                "next_target": Out(8),
            }
        )

    @property
    def config(self) -> AcceleratorConfig:
        return self._config

    def elaborate(self, platform: object) -> Module:
        m = Module()
        word, o = self.i.payload.word, self.o.payload
        # The instruction: the word that comes, or the one whose payload comes.
        gathering = Signal()
        head, now = Signal(instruction()), Signal(instruction())
        here, ahead = Signal(POSITION_BITS), Signal(POSITION_BITS)
        m.d.comb += [
            now.eq(Mux(gathering, head, word)),
            self.position.eq(Mux(gathering, here, ahead)),
            self.i.ready.eq(~self.o.valid | self.o.ready),
        ]
        flaw = Signal(StopCode)
        m.d.comb += flaw.eq(StopCode.NONE)
        self._elaborate_checks(m, now, gathering, flaw)

        taken, complete, more = Signal(), Signal(), Signal()
        has_payload = self._among(now.op, *(op for op, form in FORMS.items() if form.payload))
        is_block = now.op == Opcode.BLOCK_WRITE
        m.d.comb += [
            taken.eq(self.i.valid & self.i.ready),
            complete.eq(taken & (gathering | ~has_payload | (flaw != StopCode.NONE))),
            more.eq(is_block & (now.imm > 2)),
            self.next_target.eq(Mux(complete, now.target, o.target)),
        ]
        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        with m.If(taken):
            m.d.sync += ahead.eq(ahead + 1)
            with m.If(~gathering):
                m.d.sync += [head.eq(word), here.eq(ahead), gathering.eq(has_payload)]
            with m.Elif(more):
                m.d.sync += [head.arg.eq(now.arg + 8), head.imm.eq(now.imm - 2)]
            with m.Else():
                m.d.sync += gathering.eq(0)
        with m.If(complete):
            m.d.sync += [
                self.o.valid.eq(1),
                *(o[name].eq(now[name]) for name in ("op", "target", "arg", "imm")),
                o.operand.eq(Mux(gathering, word + self._addend(now), now.imm)),
                o.pair.eq((now.op == Opcode.ARG) | (is_block & (now.imm >= 2))),
                o.position.eq(self.position),
                o.code.eq(flaw),
            ]
        with m.If(self.restart):
            m.d.sync += [self.o.valid.eq(0), gathering.eq(0), ahead.eq(self.restart_position)]
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

    def _elaborate_checks(self, m: Module, now: data.View, gathering: Value, flaw: Signal) -> None:
        """The first flaw of the instruction `now`; the later assignment wins."""
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
        with m.If(~gathering):
            with m.If(beyond_form.any() | ~argument_good):
                m.d.comb += flaw.eq(StopCode.BAD_ARGUMENT)
            with m.If(~target_good):
                m.d.comb += flaw.eq(StopCode.BAD_TARGET)
            with m.If(~known):
                m.d.comb += flaw.eq(StopCode.BAD_OPCODE)
        # A mask has 32 bits.
        with m.Elif((now.op == Opcode.MASKED_WRITE) & self.i.payload.word[32:].any()):
            m.d.comb += flaw.eq(StopCode.BAD_ARGUMENT)
        with m.If(self.i.payload.resp == Response.SLVERR):
            m.d.comb += flaw.eq(StopCode.FETCH_SLVERR)
        with m.If(self.i.payload.resp == Response.DECERR):
            m.d.comb += flaw.eq(StopCode.FETCH_DECERR)

    @staticmethod
    def _allow(m: Module, legal: data.View, form: Form) -> None:
        m.d.comb += [
            legal.op.eq(0xFF),
            legal.target.eq(form.target),
            legal.arg.eq(form.arg),
            legal.imm.eq(form.imm),
        ]
