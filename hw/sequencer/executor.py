"""Does what the operations of a program say, one after the other."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from ..bus.access import RegisterAccessSignature
from ..bus.opcodes import EQUAL, LOOP_COUNTERS, OPCODE_BITS, Opcode, StopCode
from ..bus.page import register_shape
from ..bus.registers import PAGE_BYTES, RegisterMap
from ..config import AcceleratorConfig
from ..mover.loader import mover_task
from ..mover.locks import LOCK_DELTA_BITS, LOCK_VALUE_BITS, LockClientSignature, lock_set
from .checker import operation
from .fetcher import POSITION_BITS

__all__ = ["ProgramExecutor"]


class ProgramExecutor(wiring.Component):
    """Executes operations in order until one ends the program.

    An operation takes one cycle if nobody makes it wait, a pair of register writes, an ACQUIRE and
    a LOOP two, a WAIT three and a masked write four. Another access may be asked for before the
    answer to a write is there, and is not made if that is an error
    (:class:`~weft.hw.bus.access.PageDecoder`); whatever else an operation does waits for it::

        cycle    t        t+1      t+2      t+3      t+4      t+5
        i        pair -------      write    push ---------    masked ...
        access   low      high     write                      read
        answer                     low      high     write

    After the second cycle of a LOOP that goes back comes the time of a new fetch. PUSH waits for
    room in the mover's queue, ACQUIRE for its lock, WAIT for ``retired`` to reach its count, an
    access for the pages. Payloads hold while they are stalled.

    The program ends (``stopped`` is high for one cycle, with ``code``) at END, at an operation with
    a flaw or a LOOP to before the program's begin, when a register access is answered with an
    error, and when ``faulted`` is set. Then nothing more is begun, from that very cycle on, and
    what still waits is taken back, be it an access, a push or an acquire: those who take them
    commit to nothing before. An access that is under way is answered first. While ``ready`` is low
    the same holds, without an end.

    Parameters
    ----------
    config
        The system.

    Members
    -------
    begin : 1
        Pulse: the loop counters are 0, and execution starts with the next operation, the
        program's first.
    ready : 1
        While low, nothing is begun.
    i : stream of :func:`~weft.hw.sequencer.checker.operation`
    retired : 32
        Tasks retired since the program began by the mover of the operation that was on ``i`` in the
        cycle before.
    faulted : 1
        A mover has failed.
    stopped : 1
    code : :class:`~weft.hw.bus.opcodes.StopCode`
        With ``stopped``.
    refused : 1
        With ``stopped``: the end is that of the operation of two cycles before, whose access was
        answered with an error.
    running : 1
    jump : 1
        Pulse, a register: the next operation is that at ``destination``.
    destination : 32
        A register; 0 while no program runs.
    position : 32
        That of the instruction on ``i``, or of the next one; 0 while no program runs.
    inside : 1
        Not the first operation of an instruction is on ``i`` or the next one: ``position`` is that
        of its payload.
    access : :class:`~weft.hw.bus.access.RegisterAccessSignature`
    push : array of stream of :func:`~weft.hw.mover.loader.mover_task`
        One a mover.
    locks : :class:`~weft.hw.mover.locks.LockClientSignature`
    lock_set : stream of :func:`~weft.hw.mover.locks.lock_set`
    """

    def __init__(self, *, config: AcceleratorConfig) -> None:
        self._config = config
        self._map = RegisterMap(config)
        access = RegisterAccessSignature(address_bits=self._map.address_bits)
        super().__init__(
            {
                "begin": In(1),
                "ready": In(1),
                "i": In(stream.Signature(operation())),
                "retired": In(32),
                "faulted": In(1),
                "stopped": Out(1),
                "code": Out(StopCode),
                "refused": Out(1),
                "running": Out(1),
                "jump": Out(1),
                "destination": Out(POSITION_BITS),
                "position": Out(POSITION_BITS),
                "inside": Out(1),
                "access": Out(access),
                "push": Out(stream.Signature(mover_task())).array(len(config.movers)),
                "locks": Out(LockClientSignature()),
                "lock_set": Out(stream.Signature(lock_set())),
            }
        )

    @property
    def config(self) -> AcceleratorConfig:
        return self._config

    def elaborate(self, platform: object) -> Module:
        m = Module()
        now = self.i.payload
        ask = Signal()  # the operation may have an access in this cycle
        execute = Signal()  # or do anything else
        done = Signal()  # and this cycle is its last
        asked = Signal()  # an access was accepted in the cycle before
        answered = Signal()  # or in that before it: its answer is there
        m.d.comb += [
            self.refused.eq(self.running & answered & self.access.answer.error),
            ask.eq(
                self.running
                & self.ready
                & self.i.valid
                & ~self.refused
                & ~self.faulted
                & ~now.flawed
            ),
            execute.eq(ask & ~asked),
            self.i.ready.eq(done),
        ]
        m.d.sync += [
            asked.eq(self.access.request.valid & self.access.request.ready),
            answered.eq(asked),
        ]
        with m.If(self.begin):
            m.d.sync += self.running.eq(1)
        with m.Elif(self.stopped):
            m.d.sync += self.running.eq(0)
        with m.If(self.refused):
            m.d.comb += [self.stopped.eq(1), self.code.eq(StopCode.REGISTER)]
        with m.Elif(self.running & self.ready & ~asked):
            with m.If(self.faulted):
                m.d.comb += [self.stopped.eq(1), self.code.eq(StopCode.MOVER)]
            with m.Elif(self.i.valid & now.flawed):
                m.d.comb += [self.stopped.eq(1), self.code.eq(now.code)]

        @contextmanager
        def case(*opcodes: Opcode) -> Iterator[None]:
            with m.Case(*opcodes):
                with m.If(execute):
                    yield

        stands = Signal()  # the operation, since the cycle before
        reached = Signal()  # the count that it waits for
        m.d.sync += [stands.eq(0), reached.eq(0)]
        with m.Switch(_opcode(now)):
            with case(Opcode.END):
                m.d.comb += [done.eq(1), self.stopped.eq(1)]
            with case(Opcode.WAIT):
                m.d.comb += done.eq(reached)
                enough = self.retired >= now.imm
                m.d.sync += [stands.eq(~done), reached.eq(stands & ~done & enough)]
            with case(Opcode.ACQUIRE):
                acquire = self.locks.acquire
                m.d.comb += [acquire.valid.eq(stands), done.eq(stands & acquire.ready)]
                m.d.sync += stands.eq(~done)
            with case(Opcode.RELEASE):
                m.d.comb += [self.locks.release.valid.eq(1), done.eq(self.locks.release.ready)]
            with case(Opcode.SET_LOCK):
                m.d.comb += [self.lock_set.valid.eq(1), done.eq(self.lock_set.ready)]
            with m.Case(Opcode.WRITE, Opcode.MASKED_WRITE, Opcode.BLOCK_WRITE, Opcode.ARG):
                self._elaborate_access(m, now, ask, asked, done)
            with m.Case(Opcode.PUSH, Opcode.PUSH_AT):
                self._elaborate_push(m, now, execute, done)
        m.d.comb += [
            self.locks.acquire.payload.id.eq(now.target),
            self.locks.acquire.payload.value.eq(now.imm[:LOCK_VALUE_BITS]),
            self.locks.acquire.payload.equal.eq((now.imm & EQUAL).any()),
            self.locks.release.payload.id.eq(now.target),
            self.locks.release.payload.delta.eq(now.imm[:LOCK_DELTA_BITS]),
            self.lock_set.payload.id.eq(now.target),
            self.lock_set.payload.value.eq(now.imm[:LOCK_VALUE_BITS]),
        ]
        self._elaborate_loop(m, now, execute, done, stands)
        with m.If(done):
            m.d.sync += [self.position.eq(self.position + now.words), self.inside.eq(~now.last)]
        with m.If(self.jump):
            m.d.sync += self.position.eq(self.destination)
        with m.If(~self.running):
            m.d.sync += [self.position.eq(0), self.inside.eq(0), self.destination.eq(0)]
        return m

    def _elaborate_access(
        self, m: Module, now: Any, ask: Value, asked: Value, done: Signal
    ) -> None:
        """One access or two: the halves of a pair, or the read and the write of a masked write."""
        request, answer = self.access.request, self.access.answer
        second, reading = Signal(), Signal()
        is_masked = _opcode(now) == Opcode.MASKED_WRITE
        mask, kept = now.operand[:32], Signal(32)
        page_bits = (PAGE_BYTES - 1).bit_length()
        offset = Signal(page_bits)
        m.d.comb += [
            request.valid.eq(ask & ~reading),
            offset.eq(now.arg + ((second & ~is_masked) << 2)),
            request.payload.address.eq(Cat(offset, now.target)),
            request.payload.write.eq(~is_masked | second),
        ]
        with m.If(is_masked):
            m.d.comb += request.payload.data.eq(kept | (now.imm & mask))
        with m.Else():
            m.d.comb += request.payload.data.eq(now.operand.word_select(second, 32))
        with m.If(reading & ~asked):
            m.d.sync += [reading.eq(0), second.eq(1), kept.eq(answer.data & ~mask)]
        with m.Elif(request.valid & request.ready):
            with m.If(is_masked & ~second):
                m.d.sync += reading.eq(1)
            with m.Elif(now.pair & ~second):
                m.d.sync += second.eq(1)
            with m.Else():
                m.d.comb += done.eq(1)
                m.d.sync += second.eq(0)
        # A program that is stopped between the two begins its next one with the first.
        with m.If(self.begin):
            m.d.sync += second.eq(0)

    def _elaborate_push(self, m: Module, now: Any, execute: Value, done: Signal) -> None:
        push = self._map.pages[1].register("PUSH")
        word = Signal(register_shape(push))
        m.d.comb += word.eq(now.imm)
        mover = now.target[: len(self.push).bit_length()]
        for index, port in enumerate(self.push):
            for name, _ in mover_task():
                if name == "base":
                    m.d.comb += port.payload.base.eq(now.operand)
                elif name == "rebase":
                    m.d.comb += port.payload.rebase.eq(_opcode(now) == Opcode.PUSH_AT)
                else:
                    m.d.comb += port.payload[name].eq(word[name])
            with m.If(mover == index + 1):
                m.d.comb += [port.valid.eq(execute), done.eq(execute & port.ready)]

    def _elaborate_loop(
        self, m: Module, now: Any, execute: Value, done: Signal, stands: Signal
    ) -> None:
        """Count and look in the first cycle, go on or back in the second.

        The counters are in a memory; one that is not `begun` is 0, and takes the rounds of its
        LOOP.
        """
        m.submodules.counters = counters = Memory(shape=32, depth=LOOP_COUNTERS, init=[])
        write_port = counters.write_port()
        read_port = counters.read_port(domain="comb")
        begun = Signal(LOOP_COUNTERS)
        counter = now.target[: (LOOP_COUNTERS - 1).bit_length()]
        rounds = Signal(32)  # that are left, with the one that ends here
        back, beyond = Signal(POSITION_BITS), Signal()
        flawed = Signal()
        m.d.comb += [
            read_port.addr.eq(counter),
            write_port.addr.eq(counter),
            write_port.data.eq(rounds - 1),
            rounds.eq(Mux(begun.bit_select(counter, 1), read_port.data, now.imm)),
            Cat(back, beyond).eq(self.position - now.arg),
        ]
        m.d.sync += [self.jump.eq(0), self.destination.eq(back)]
        with m.If(self.begin):
            m.d.sync += begun.eq(0)
        with m.Elif(execute & (_opcode(now) == Opcode.LOOP)):
            with m.If(~stands):
                again = rounds != 1
                m.d.comb += write_port.en.eq(1)
                m.d.sync += [
                    stands.eq(1),
                    begun.bit_select(counter, 1).eq(again),
                    flawed.eq(beyond),
                    self.jump.eq(again & ~beyond),
                ]
            with m.Elif(flawed):
                m.d.comb += [self.stopped.eq(1), self.code.eq(StopCode.BAD_ARGUMENT)]
            with m.Elif(~self.jump):
                m.d.comb += done.eq(1)


def _opcode(now: Any) -> Value:
    """Of an operation without a flaw: no other is executed."""
    return now.op[:OPCODE_BITS]
