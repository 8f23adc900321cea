"""Which operations may be executed."""

from collections.abc import Iterator

from amaranth.hdl import Cat, Module, Mux, ResetInserter, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..bus.axi import Response
from ..bus.cut import Cut
from ..bus.opcodes import (
    ADD_ARGUMENT,
    ARGUMENT_BITS,
    ARGUMENT_LOW,
    FORMS,
    Opcode,
    StopCode,
    instruction,
)
from ..bus.registers import PAGE_BYTES
from ..config import AcceleratorConfig
from ..mover.locks import LOCK_DELTA_BITS
from .decoder import REGISTERS, decoded

__all__ = ["ProgramChecker", "operation"]

_ON_MOVER = (Opcode.PUSH, Opcode.PUSH_AT, Opcode.WAIT)
_ON_LOCK = (Opcode.ACQUIRE, Opcode.RELEASE, Opcode.SET_LOCK)
_ON_PAGE = (Opcode.WRITE, Opcode.MASKED_WRITE, Opcode.BLOCK_WRITE, Opcode.ARG)


def operation() -> data.StructLayout:
    """What the executor does in one step.

    As :func:`~weft.hw.sequencer.decoder.decoded`, with the addend in ``operand``. It must not be
    executed if it is ``flawed``; ``code`` says why, or NONE.
    """
    return data.StructLayout(_plain() | {"flawed": 1, "code": StopCode})


def _plain() -> dict[str, object]:
    names = ("op", "target", "arg", "imm", "operand", "pair", "words", "last")
    return {name: decoded().members[name] for name in names}


def _judged() -> data.StructLayout:
    """An operation, and which of the flaws it has."""
    flaws = {"opcode": 1, "target": 1, "argument": 1, "payload": 1}
    answers = {"first": Response, "second": Response}
    return data.StructLayout(_plain() | {"flawed": 1, "flaws": data.StructLayout(flaws)} | answers)


class ProgramChecker(wiring.Component):
    """Adds the argument, and finds the first flaw of each operation.

    An operation accepted in cycle t is offered in t+1, one a cycle. ``i.ready`` is a register: how
    long the executor takes is not known before the end of a cycle.

    That a LOOP goes back to before the program's begin is not seen here: it needs the position.

    Parameters
    ----------
    config
        The system.

    Members
    -------
    i : stream of :func:`~weft.hw.sequencer.decoder.decoded`
    o : stream of :func:`operation`
    restart : 1
        Pulse: what is held is forgotten, and what is accepted as well.
    """

    def __init__(self, *, config: AcceleratorConfig) -> None:
        assert config.sequencer is not None
        self._config = config
        self._arguments = config.sequencer.arguments
        super().__init__(
            {
                "i": In(stream.Signature(decoded())),
                "o": Out(stream.Signature(operation())),
                "restart": In(1),
            }
        )

    @property
    def config(self) -> AcceleratorConfig:
        return self._config

    def elaborate(self, platform: object) -> Module:
        m = Module()
        cut = Cut(_judged(), both=True)
        m.submodules.cut = ResetInserter(self.restart)(cut)
        now, judged, held, o = self.i.payload, cut.i.payload, cut.o.payload, self.o.payload
        begins, flaws = ~now.continues, judged.flaws
        arguments = Cat(self._has_stray_bits(now), *self._bad_arguments(now))
        m.d.comb += [
            cut.i.valid.eq(self.i.valid),
            self.i.ready.eq(cut.i.ready),
            *(judged[name].eq(now[name]) for name in (*_plain(), "first", "second")),
            judged.operand.eq(now.operand + now.addend),
            flaws.opcode.eq(begins & ~_is_one(now, *FORMS)),
            flaws.target.eq(begins & Cat(self._bad_targets(now)).any()),
            flaws.argument.eq(begins & arguments.any()),
            # A mask has 32 bits.
            flaws.payload.eq((now.op == Opcode.MASKED_WRITE) & now.operand[32:].any()),
            judged.flawed.eq(flaws.as_value().any() | _failed(now.first) | _failed(now.second)),
            self.o.valid.eq(cut.o.valid),
            cut.o.ready.eq(self.o.ready),
            *(o[name].eq(held[name]) for name in (*_plain(), "flawed")),
        ]
        # The first flaw is told: what is assigned later goes before.
        with m.If(held.flaws.payload):
            m.d.comb += o.code.eq(StopCode.BAD_ARGUMENT)
        self._elaborate_response(m, held.second, o.code)
        with m.If(held.flaws.argument):
            m.d.comb += o.code.eq(StopCode.BAD_ARGUMENT)
        with m.If(held.flaws.target):
            m.d.comb += o.code.eq(StopCode.BAD_TARGET)
        with m.If(held.flaws.opcode):
            m.d.comb += o.code.eq(StopCode.BAD_OPCODE)
        self._elaborate_response(m, held.first, o.code)
        return m

    @staticmethod
    def _elaborate_response(m: Module, response: Value, code: Value) -> None:
        with m.If(response == Response.SLVERR):
            m.d.comb += code.eq(StopCode.FETCH_SLVERR)
        with m.If(response == Response.DECERR):
            m.d.comb += code.eq(StopCode.FETCH_DECERR)

    @staticmethod
    def _has_stray_bits(now: data.View) -> Value:
        """Whether a bit is set that may not be in this instruction.

        Bits that the same opcodes allow are looked at together.
        """
        legal = {
            opcode: instruction()
            .const({"op": 0xFF, "target": form.target, "arg": form.arg, "imm": form.imm})
            .as_bits()
            for opcode, form in FORMS.items()
        }
        word = Cat(now[name] for name, _ in instruction())
        groups: dict[tuple[Opcode, ...], list[Value]] = {}
        for index, bit in enumerate(word):
            strangers = tuple(opcode for opcode, bits in legal.items() if not bits >> index & 1)
            groups.setdefault(strangers, []).append(bit)
        return Cat(
            Cat(bits).any() & _is_one(now, *strangers)
            for strangers, bits in groups.items()
            if strangers
        ).any()

    def _bad_targets(self, now: data.View) -> Iterator[Value]:
        movers = len(self._config.movers)
        # The sequencer's own page, behind the movers', is none that it may write.
        yield _is_one(now, *_ON_PAGE) & (now.target > movers)
        yield _is_one(now, *_ON_MOVER) & ((now.target == 0) | (now.target > movers))
        yield _is_one(now, *_ON_LOCK) & (now.target >= self._config.locks)

    def _bad_arguments(self, now: data.View) -> Iterator[Value]:
        """What is out of range although every bit of it may be set."""
        imm, arg = Value.cast(now.imm), Value.cast(now.arg)
        too_many = (imm >> REGISTERS.bit_length()).any() | (now.behind > REGISTERS)
        yield _is_one(now, Opcode.BLOCK_WRITE) & ((imm == 0) | too_many)
        # Two registers, and an argument that exists.
        absent = imm[:ARGUMENT_BITS] >= self._arguments
        yield _is_one(now, Opcode.ARG) & ((arg > PAGE_BYTES - 8) | absent)
        index = imm[ARGUMENT_LOW : ARGUMENT_LOW + ARGUMENT_BITS]
        adds = (imm & ADD_ARGUMENT).any()
        absent = Mux(adds, index >= self._arguments, index != 0)
        yield _is_one(now, Opcode.PUSH_AT) & absent
        sign = imm[LOCK_DELTA_BITS - 1 :]
        yield _is_one(now, Opcode.RELEASE) & sign.any() & ~sign.all()
        yield _is_one(now, Opcode.LOOP) & (imm == 0)


def _is_one(now: data.View, *opcodes: Opcode) -> Value:
    return Cat(now.op == opcode for opcode in opcodes).any()


def _failed(response: Value) -> Value:
    return (response == Response.SLVERR) | (response == Response.DECERR)
