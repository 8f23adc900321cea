"""The system's own page: identity, interrupts, first error, time, abort, soft reset."""

from amaranth.hdl import Cat, Module, Mux, ResetInserter, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..config import AcceleratorConfig
from ..errors import ConfigError
from .abort import AbortControl
from .fault import FaultCode, lock_fault
from .page import RegisterPage
from .registers import (
    IDENTITY,
    LOCK_FAULT_BIT,
    SEQUENCER_BIT,
    Page,
    RegisterBusSignature,
    system_page,
)
from .wires import adopt

__all__ = ["SystemControl"]

CALM_CYCLES = 4
"""A soft reset waits for this many idle bus cycles in a row: an engine may still have an address in
a register when it is told to stop."""


class SystemControl(wiring.Component):
    """Page 0 and what stands behind it.

    *Interrupts.* A ``done`` pulse raises the mover's IRQ_DONE bit, a ``faulted`` or ``refused``
    pulse its IRQ_FAULT bit, ``lock_fault`` the locks', ``program_done`` and ``program_failed`` the
    sequencer's; a pulse in the cycle of a host's clear wins.
    ``irq`` is a register: it follows the unmasked bits one cycle later.

    *First error.* The first ``faulted`` pulse since reset is kept with the code and descriptor that
    its mover shows in that cycle; of several in one cycle, that of the lowest index, and a lock's
    after theirs. UPSTREAM gives way to any other code: that is the fault at the source of the
    stream.

    *Time.* CYCLES counts every cycle. SPAN_FIRST takes its value at the first ``issued`` and
    SPAN_LAST at the latest ``written`` since reset or ``clear_counters``.

    *Soft reset.* Writing CONTROL.reset raises ``drain`` and STATUS.resetting; when ``bus_idle`` has
    been high for four cycles in a row ``reset`` is high for one cycle, and all three fall after it.
    ``reset`` also clears FIRST_ERROR, both IRQ registers and the time; the masks stay. The host
    accesses no mover page while STATUS.resetting is set.

    *Abort.* The movers of ABORT are aborted, see :class:`~weft.hw.bus.abort.AbortControl`; it is
    neither a fault nor an interrupt. A soft reset ends it.

    Parameters
    ----------
    config
        The system.
    version
        Major, minor and patch of the generator, each below 256.

    Members
    -------
    registers : :class:`~weft.hw.bus.registers.RegisterBusSignature`
    irq : 1
    done, faulted, refused : one bit a mover
        Pulses.
    fault_code, fault_descriptor : array of 8 bits a mover
        Levels, valid with ``faulted``.
    lock_fault : :func:`~weft.hw.bus.fault.lock_fault`
    program_done, program_failed : 1; only with a sequencer
        Pulses.
    first_error : 32
        FIRST_ERROR.
    lock_set, lock_release, lock_acquire, lock_result, lock_errors, locks_0, ...
        The registers of these names, see :class:`~weft.hw.bus.page.RegisterPage`.
    issued, written : 1
        An array-side mover issued an address row; wrote.
    array_active, array_steps, ... : 32; only with an array
        Its counters, the ARRAY registers.
    fill_priority : 1; only with ``memory.fill_priority``
        ARBITRATION.fill_priority.
    bank_conflicts : 32 a bank; only with ``memory.bank_counters``
        The scratchpad's counters.
    bus_idle : 1
        No burst is outstanding.
    drain : 1
        Everybody stops: the DRAM engines issue nothing more.
    stopping : a bit for each mover
        It stops, for an abort.
    idle, abort : a bit for each mover
        As in :class:`~weft.hw.bus.abort.AbortControl`.
    reset : 1
        Pulse: resets everything but this page and the bridge.
    clear_counters : 1
        Pulse.

    Raises
    ------
    ConfigError
        A part of `version` does not fit its byte.
    """

    def __init__(self, *, config: AcceleratorConfig, version: tuple[int, ...]) -> None:
        if len(version) != 3 or not all(0 <= part < 256 for part in version):
            raise ConfigError("version", version, "must be three numbers from 0 to 255")
        self._config = config
        self._version = version
        self._page = system_page(config)
        count = len(config.movers)
        members = {
            "registers": In(RegisterBusSignature()),
            "irq": Out(1),
            "done": In(count),
            "faulted": In(count),
            "refused": In(count),
            "fault_code": In(data.ArrayLayout(8, count)),
            "fault_descriptor": In(data.ArrayLayout(8, count)),
            "issued": In(1),
            "written": In(1),
            "bus_idle": In(1),
            "drain": Out(1),
            "stopping": Out(count),
            "idle": In(count),
            "abort": Out(count),
            "reset": Out(1),
            "clear_counters": Out(1),
        }
        self._array_counters = [
            register.name.lower()
            for register in self._page.registers
            if register.name.startswith("ARRAY_")
        ]
        members |= {name: In(32) for name in self._array_counters}
        if config.memory.fill_priority:
            members["fill_priority"] = Out(1)
        if config.memory.bank_counters:
            members["bank_conflicts"] = In(32).array(config.memory.banks)
        members["lock_fault"] = In(lock_fault())
        members["first_error"] = Out(32)
        if config.sequencer is not None:
            members |= {"program_done": In(1), "program_failed": In(1)}
        self._lock_registers = [
            register.name.lower()
            for register in self._page.registers
            if register.name.startswith("LOCK")
        ]
        members |= RegisterPage.ports(self._page, self._lock_registers)
        super().__init__(members)

    @property
    def config(self) -> AcceleratorConfig:
        return self._config

    @property
    def page(self) -> Page:
        return self._page

    @property
    def version(self) -> tuple[int, ...]:
        return self._version

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.page = page = RegisterPage(page=self._page)
        adopt(page, "bus", self.registers)
        for name in (*self._array_counters, *self._lock_registers):
            adopt(page, name, getattr(self, name))
        if self._config.memory.fill_priority:
            m.d.comb += self.fill_priority.eq(page.arbitration.fill_priority)
        if self._config.memory.bank_counters:
            for bank, count in enumerate(self.bank_conflicts):
                adopt(page, f"bank_conflict_{bank}", count)
        cycles, first, last = Signal(32), Signal(32), Signal(32)
        adopt(page, "cycles", cycles)
        adopt(page, "span_first", first)
        adopt(page, "span_last", last)
        major, minor, patch = self._version
        command = page.control
        done, failed = self.done, self.faulted | self.refused
        if self._config.sequencer is not None:
            done = done | self.program_done << SEQUENCER_BIT
            failed = failed | self.program_failed << SEQUENCER_BIT
        m.d.comb += [
            page.identity.eq(IDENTITY),
            page.version.eq(major << 16 | minor << 8 | patch),
            page.config_hash.eq(int(self._config.hash[:8], 16)),
            page.capabilities.movers.eq(len(self._config.movers)),
            page.capabilities.array.eq(self._config.array is not None),
            page.capabilities.dma.eq(self._config.dma is not None),
            page.capabilities.sequencer.eq(self._config.sequencer is not None),
            page.status.resetting.eq(self.drain),
            self.clear_counters.eq(command.valid & command.data.clear_counters),
            # A pulse of a mover that is being reset is none.
            page.irq_done_set.eq(Mux(self.reset, 0, done)),
            page.irq_fault_set.eq(
                Mux(self.reset, 0, failed | self.lock_fault.valid << LOCK_FAULT_BIT)
            ),
            page.irq_done_clear.eq(self.reset.replicate(32)),
            page.irq_fault_clear.eq(self.reset.replicate(32)),
        ]
        pending = Cat(
            page.irq_done.as_value() & page.irq_done_mask.as_value(),
            page.irq_fault.as_value() & page.irq_fault_mask.as_value(),
        )
        m.d.sync += self.irq.eq(pending.any())
        self._elaborate_first_error(m, page)
        self._elaborate_time(m, cycles, first, last)
        self._elaborate_reset(m, page)
        aborts = AbortControl(movers=len(self._config.movers))
        m.submodules.aborts = ResetInserter(self.reset)(aborts)
        adopt(aborts, "asked", self.stopping)
        adopt(aborts, "idle", self.idle)
        adopt(aborts, "abort", self.abort)
        m.d.comb += [
            self.stopping.eq(page.abort),
            page.abort_clear.eq(aborts.over | self.reset.replicate(32)),
        ]
        return m

    def _elaborate_first_error(self, m: Module, page: RegisterPage) -> None:
        record = Signal(page.first_error.shape())
        adopt(page, "first_error", record)
        m.d.comb += self.first_error.eq(record)
        with m.If(self.reset):
            m.d.sync += record.eq(0)
        # A failed stream is a consequence: the fault at its source takes its place, whichever of
        # the two is reported first.
        with m.Elif(~record.valid | (record.code == FaultCode.UPSTREAM)):
            with m.If(self.lock_fault.valid):
                m.d.sync += [
                    record.valid.eq(1),
                    record.mover.eq(self.lock_fault.client),
                    record.code.eq(self.lock_fault.code),
                    record.descriptor.eq(self.lock_fault.lock),
                ]
            for index in reversed(range(len(self._config.movers))):
                cause = self.fault_code[index] != FaultCode.UPSTREAM
                with m.If(self.faulted[index] & (cause | ~record.valid)):
                    m.d.sync += [
                        record.valid.eq(1),
                        record.mover.eq(index),
                        record.code.eq(self.fault_code[index]),
                        record.descriptor.eq(self.fault_descriptor[index]),
                    ]

    def _elaborate_time(self, m: Module, cycles: Signal, first: Signal, last: Signal) -> None:
        started = Signal()
        with m.If(self.reset | self.clear_counters):
            m.d.sync += [cycles.eq(0), first.eq(0), last.eq(0), started.eq(0)]
        with m.Else():
            m.d.sync += cycles.eq(cycles + 1)
            with m.If(self.issued & ~started):
                m.d.sync += [first.eq(cycles), started.eq(1)]
            with m.If(self.written):
                m.d.sync += last.eq(cycles)

    def _elaborate_reset(self, m: Module, page: RegisterPage) -> None:
        calm = Signal(range(CALM_CYCLES))
        with m.If(self.reset):
            m.d.sync += [self.reset.eq(0), self.drain.eq(0)]
        with m.Elif(self.drain):
            with m.If(~self.bus_idle):
                m.d.sync += calm.eq(0)
            with m.Elif(calm == CALM_CYCLES - 1):
                m.d.sync += self.reset.eq(1)
            with m.Else():
                m.d.sync += calm.eq(calm + 1)
        with m.Elif(page.control.valid & page.control.data.reset):
            m.d.sync += [self.drain.eq(1), calm.eq(0)]
