"""Plays programs from DRAM when the host rings a doorbell."""

from dataclasses import replace

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, flipped

from ..bus.access import RegisterAccessSignature
from ..bus.axi import Axi4Signature
from ..bus.opcodes import PROGRAM_ALIGNMENT, Opcode, StopCode, completion_record
from ..bus.page import RegisterPage
from ..bus.registers import RegisterBusSignature, RegisterMap, sequencer_page
from ..bus.wires import adopt
from ..config import RECORD_BYTES, AcceleratorConfig
from ..errors import ConfigError
from ..mover.loader import mover_task
from ..mover.locks import LockClientSignature, lock_set
from .arguments import ArgumentFile
from .checker import ProgramChecker
from .decoder import ProgramDecoder
from .executor import ProgramExecutor
from .fetcher import POSITION_BITS, ProgramFetcher
from .reporter import ProgramReporter
from .retired import RetiredSince

__all__ = ["Sequencer"]


class Sequencer(wiring.Component):
    """Fetches a program, executes it, reports.

    ::

        registers -> doorbell -> fetcher -> decoder -> checker -> executor -> access, push, locks
                                   ar r        |                     |
                                           arguments              retired
                                                      reporter -> aw w b, done

    *Doorbell.* A write of DOORBELL_HIGH starts the program at DOORBELL; the first AR is raised 3
    cycles after the page's answer. While a program runs it is remembered in STATUS.refused, and
    nothing else. An address that is no multiple of 64, or a RECORD that is none of 32, or either
    too high for the bus, ends the program before it begins, with an error (and without a record, if
    it is the record's). DOORBELL, RECORD and the arguments must not be changed while a program
    runs.

    *Execution.* In the order of the program; see :class:`~weft.hw.sequencer.checker.ProgramChecker`
    for what is checked and :class:`~weft.hw.sequencer.executor.ProgramExecutor` for the cycles: one
    an instruction, payload and all, and one a word that is written to a descriptor store; on a bus
    of 64 bits an instruction with a payload takes two, for it takes them to come. WAIT counts from
    what ``retired`` was when the doorbell rang, or at most one cycle a mover later: a program is
    immutable and can be run again.

    *End.* At END or at the first error: the program's own, or any mover's, whenever it comes, and
    also one that stood before. POSITION, CYCLES and STATUS.op are kept. If RECORD is not 0, a
    :func:`~weft.hw.bus.opcodes.completion_record` is written; when the bus has taken it, STATUS
    tells, and ``done`` is high for one cycle, with ``failed`` if it was an error.

    *Soft reset.* While ``drain`` is set nothing is begun, neither a burst nor an instruction; when
    ``idle`` is set the whole can be reset.

    Parameters
    ----------
    config
        The system; it has a sequencer and a DMA.

    Members
    -------
    registers : :class:`~weft.hw.bus.registers.RegisterBusSignature`
        The page of :func:`~weft.hw.bus.registers.sequencer_page`.
    access : :class:`~weft.hw.bus.access.RegisterAccessSignature`
        To every page but its own.
    ar, r, aw, w, b : stream
        As in :class:`~weft.hw.bus.axi.Axi4Signature`; ``r`` is always accepted.
    push : array of stream of :func:`~weft.hw.mover.loader.mover_task`
        One a mover. A push, or an acquire, that is not accepted is taken back when a mover fails.
    retired : array of 32 bits
        Each mover's RETIRED.
    locks : :class:`~weft.hw.mover.locks.LockClientSignature`
    lock_set : stream of :func:`~weft.hw.mover.locks.lock_set`
    first_error : 32
        The system page's FIRST_ERROR.
    done, failed : 1
        Pulses.
    drain, idle : 1

    Raises
    ------
    ConfigError
        `config` has no sequencer.
    """

    def __init__(self, *, config: AcceleratorConfig) -> None:
        if config.sequencer is None or config.dma is None:
            raise ConfigError("sequencer", None, "must be given")
        self._config = config
        self._dma = dma = config.dma
        bus = Axi4Signature(address_bits=dma.address_bits, data_bits=dma.data_bits).members
        movers = len(config.movers)
        super().__init__(
            {
                "registers": In(RegisterBusSignature()),
                "access": Out(
                    RegisterAccessSignature(address_bits=RegisterMap(config).address_bits)
                ),
                **{channel: bus[channel] for channel in ("ar", "r", "aw", "w", "b")},
                "push": Out(stream.Signature(mover_task())).array(movers),
                "retired": In(32).array(movers),
                "locks": Out(LockClientSignature()),
                "lock_set": Out(stream.Signature(lock_set())),
                "first_error": In(32),
                "done": Out(1),
                "failed": Out(1),
                "drain": In(1),
                "idle": Out(1),
            }
        )
        whole = sequencer_page(config)
        plain = tuple(r for r in whole.registers if not r.name.startswith("ARG"))
        self._page = RegisterPage(page=replace(whole, registers=plain))
        self._file = ArgumentFile(page=whole, arguments=config.sequencer.arguments)
        self._fetcher = ProgramFetcher(dma=dma, fetch_beats=config.sequencer.fetch_beats)
        self._decoder = ProgramDecoder(config=config)
        self._checker = ProgramChecker(config=config)
        self._executor = ProgramExecutor(config=config)
        self._reporter = ProgramReporter(config=config)
        self._since = RetiredSince(movers=movers)

    @property
    def config(self) -> AcceleratorConfig:
        return self._config

    def _wide(self, name: str) -> Value:
        """A 64-bit quantity of the page."""
        return Cat(getattr(self._page, f"{name}_low"), getattr(self._page, f"{name}_high"))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.page = self._page
        m.submodules.file = file = self._file
        m.submodules.fetcher = fetcher = self._fetcher
        m.submodules.decoder = decoder = self._decoder
        m.submodules.checker = checker = self._checker
        m.submodules.executor = executor = self._executor
        m.submodules.reporter = reporter = self._reporter
        m.submodules.since = since = self._since
        for channel in ("ar", "r"):
            adopt(fetcher, channel, getattr(self, channel))
        for channel in ("aw", "w", "b"):
            adopt(reporter, channel, getattr(self, channel))
        adopt(fetcher, "drain", self.drain)
        adopt(reporter, "drain", self.drain)
        adopt(decoder, "i", flipped(fetcher.o))
        adopt(decoder, "argument", file.argument)
        adopt(file, "index", decoder.index)
        adopt(checker, "i", flipped(decoder.o))
        adopt(executor, "i", flipped(checker.o))
        adopt(since, "retired", self.retired)
        adopt(executor, "retired", since.count)
        for name in ("push", "locks", "lock_set"):
            adopt(executor, name, getattr(self, name))

        base, begin = Signal(self._dma.address_bits), Signal()
        m.d.comb += [
            self.idle.eq(fetcher.idle & reporter.idle),
            executor.ready.eq(since.ready & ~self.drain),
            executor.faulted.eq(self.first_error[0]),
            since.begin.eq(begin),
            since.target.eq(checker.o.payload.target),
            executor.begin.eq(begin),
            fetcher.base.eq(base),
            fetcher.jump.eq(begin | executor.jump),
            fetcher.position.eq(executor.destination),
            decoder.restart.eq(fetcher.jump),
            decoder.odd.eq(executor.destination[0]),
            checker.restart.eq(fetcher.jump),
        ]
        m.d.sync += fetcher.stop.eq(executor.stopped)
        self._elaborate_registers(m)
        self._elaborate_access(m)
        self._elaborate_life(m, base, begin)
        return m

    def _elaborate_registers(self, m: Module) -> None:
        """Each of the two answers for its registers, and with an error for the other's."""
        bus, page, file = self.registers, self._page.bus, self._file.bus
        for part in (page, file):
            m.d.comb += [
                part.request.eq(bus.request),
                part.write.eq(bus.write),
                part.offset.eq(bus.offset),
                part.write_data.eq(bus.write_data),
            ]
        m.d.comb += [
            bus.error.eq(page.error & file.error),
            bus.read_data.eq(page.read_data | file.read_data),
        ]

    def _elaborate_access(self, m: Module) -> None:
        """The executor's and the reporter's: never both."""
        request = self.access.request
        with m.If(self._executor.running):
            m.d.comb += [
                request.valid.eq(self._executor.access.request.valid),
                request.payload.eq(self._executor.access.request.payload),
            ]
        with m.Else():
            m.d.comb += [
                request.valid.eq(self._reporter.access.request.valid),
                request.payload.eq(self._reporter.access.request.payload),
            ]
        for part in (self._executor, self._reporter):
            m.d.comb += [
                part.access.request.ready.eq(request.ready),
                part.access.answer.eq(self.access.answer),
            ]

    def _too_high(self, address: Value) -> Value:
        return address[self._dma.address_bits :].any()

    def _elaborate_life(self, m: Module, base: Signal, begin: Signal) -> None:
        """From the doorbell to the interrupt."""
        page, executor, reporter = self._page, self._executor, self._reporter
        status = Signal(page.status.shape())
        position, cycles = Signal(POSITION_BITS), Signal(64)
        op_before, position_before = Signal.like(status.op), Signal.like(position)
        outcome = Signal(completion_record())
        address = Cat(page.doorbell_low, page.doorbell_high.data)
        record = self._wide("record")
        bad_program = address[: PROGRAM_ALIGNMENT.bit_length() - 1].any() | self._too_high(address)
        bad_record = record[: RECORD_BYTES.bit_length() - 1].any() | self._too_high(record)
        m.d.comb += [
            page.status.eq(status),
            page.position.eq(position),
            Cat(page.cycles_low, page.cycles_high).eq(cycles),
            outcome.status.eq(Mux(status.code == StopCode.NONE, 1, 2)),
            outcome.code.eq(status.code),
            outcome.op.eq(status.op),
            outcome.position.eq(position),
            outcome.cycles.eq(cycles),
            reporter.outcome.eq(outcome),
            reporter.record.eq(Mux(status.code == StopCode.RECORD_ADDRESS, 0, record)),
        ]
        first_error = Signal(32)
        m.d.comb += outcome.first_error.eq(first_error)

        report = Signal()
        m.d.sync += [begin.eq(0), report.eq(0), self.done.eq(0), self.failed.eq(0)]
        m.d.comb += reporter.begin.eq(report)
        with m.If(executor.running):
            m.d.sync += cycles.eq(cycles + 1)
            # Where the program is, and was a cycle before: there is the instruction of which an
            # access is answered with an error.
            m.d.sync += [op_before.eq(status.op), position_before.eq(position)]
            with m.If(executor.refused):
                m.d.sync += [status.op.eq(op_before), position.eq(position_before)]
            with m.Elif(~executor.inside):
                m.d.sync += [
                    status.op.eq(Mux(executor.i.valid, executor.i.payload.op, Opcode.END)),
                    position.eq(executor.position),
                ]
        with m.If(executor.stopped):
            m.d.sync += [
                report.eq(1),
                status.code.eq(executor.code),
                first_error.eq(self.first_error),
            ]
        with m.If(reporter.finished):
            code = Mux(status.code == StopCode.NONE, reporter.code, status.code)
            failed = code != StopCode.NONE
            m.d.sync += [
                status.busy.eq(0),
                status.code.eq(code),
                status.done.eq(~failed),
                status.error.eq(failed),
                self.done.eq(1),
                self.failed.eq(failed),
            ]
        with m.If(page.doorbell_high.valid):
            with m.If(status.busy):
                m.d.sync += status.refused.eq(1)
            with m.Else():
                m.d.sync += [
                    status.eq(0),
                    status.busy.eq(1),
                    position.eq(0),
                    cycles.eq(0),
                    first_error.eq(0),
                    base.eq(address),
                ]
                with m.If(bad_record):
                    m.d.sync += [status.code.eq(StopCode.RECORD_ADDRESS), report.eq(1)]
                with m.Elif(bad_program):
                    m.d.sync += [status.code.eq(StopCode.PROGRAM_ADDRESS), report.eq(1)]
                with m.Else():
                    m.d.sync += begin.eq(1)
