"""What every mover has above its memory port: registers, queue, BDs, loops, retirement."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ..agu.temporal import TemporalAgu
from ..bus.fault import FaultCode
from ..bus.page import RegisterPage
from ..bus.queue import Queue
from ..bus.registers import DESCRIPTOR_STORE, RegisterBusSignature, mover_page
from ..bus.wires import adopt
from ..config import AcceleratorConfig
from .descriptor import Descriptor
from .loader import Loader, flight_entry, mover_task
from .monitor import ActivityMonitor
from .port import PortSignature
from .store import BdStore

__all__ = ["IN_FLIGHT", "MoverCore"]

IN_FLIGHT = 15
"""BDs that may be handed to the address generator and not be retired."""

OPERATOR_DEPTH = 16
"""Operator words that may wait for their BDs' data; the data FIFOs may hold that many BDs."""


class MoverCore(wiring.Component):
    """Executes pushed tasks in order, each a BD one or more times.

    *Timing.* A PUSH on ``registers`` in cycle t shows its first row on ``port.rows`` in t+4 if the
    mover is idle. The next BD is prefetched while one runs: rows follow without a bubble between
    executions and between tasks, one a cycle as far as ``port.rows.ready`` allows. A BD without
    rows (a bound or a run length of 0, or a failed check) waits until everything before it has
    retired; the first row after it follows 3 cycles after that.

    *Queue.* A push to a full queue is dropped, counted in REFUSED, remembered in STATUS.refused,
    and ``refused`` pulses. A BD slot is read when its task leaves the queue; the host rewrites the
    slot when the task has retired.

    *Retirement.* ``port.retired`` ends the oldest execution in flight. RETIRED counts tasks, that
    is the last execution of each: it shows a retirement in cycle t from t+1 on, and ``done`` is
    high in t+1 if the task was pushed with ``interrupt``. A task without rows retires in its turn.

    *Faults.* ``port.fault`` belongs to the BD that it names, else to the oldest execution in
    flight; a port reports at the latest in the cycle in which it retires the BD. The first fault
    since CONTROL.clear_error is kept with code, BD slot and address (0 for one found by a check);
    ``faulted`` is high in the cycle after every report, never later than the retirement shows. A
    task never waits for a fault to be cleared.

    ``registers`` answers in the cycle after a request. Status and counters are those of
    :class:`~weft.hw.mover.loader.Loader` and :class:`~weft.hw.mover.monitor.ActivityMonitor`;
    ADDRESS is that of the row offered last.

    Parameters
    ----------
    config
        The system.
    index
        Which of its movers.

    Members
    -------
    registers : :class:`~weft.hw.bus.registers.RegisterBusSignature`
        The page of :func:`~weft.hw.bus.registers.mover_page`, BD store included.
    port : :class:`~weft.hw.mover.port.PortSignature`
    operator : stream of 32 bits; only if a stream operator takes them
        The operator word of every execution with rows, in order, from the cycle of its first row
        on.
    clear_counters : 1
    done : 1
        Pulse: a task pushed with ``interrupt`` has retired.
    faulted : 1
        Pulse: a fault was reported.
    fault_code, fault_descriptor : 8
        The fault that is kept; the code is 0 without one.
    refused : 1
        Pulse: a push met a full queue.
    busy : 1
        A BD is loaded or in flight.

    Attributes
    ----------
    descriptor : :class:`~weft.hw.mover.descriptor.Descriptor`
    tasks : :class:`~weft.hw.bus.queue.Queue` of :func:`~weft.hw.mover.loader.mover_task`
        Pushed, not yet loaded.
    loader : :class:`~weft.hw.mover.loader.Loader`
    flight : :class:`~weft.hw.bus.queue.Queue` of :func:`~weft.hw.mover.loader.flight_entry`
        Executions in flight.
    monitor : :class:`~weft.hw.mover.monitor.ActivityMonitor`
    """

    def __init__(self, *, config: AcceleratorConfig, index: int) -> None:
        self._config = config
        self._index = index
        self.descriptor = Descriptor(config, config.movers[index])
        members = {
            "registers": In(RegisterBusSignature()),
            "port": Out(PortSignature(self.descriptor)),
            "clear_counters": In(1),
            "done": Out(1),
            "faulted": Out(1),
            "fault_code": Out(8),
            "fault_descriptor": Out(8),
            "refused": Out(1),
            "busy": Out(1),
        }
        if self.descriptor.has_operator:
            members["operator"] = Out(stream.Signature(32))
        super().__init__(members)
        mover = self.descriptor.mover
        self.tasks = Queue(mover_task(), depth=mover.queue_depth)
        self.loader = Loader(descriptor=self.descriptor)
        self.flight = Queue(flight_entry(), depth=IN_FLIGHT)
        self.monitor = ActivityMonitor(is_source=mover.is_source)

    @property
    def config(self) -> AcceleratorConfig:
        return self._config

    @property
    def index(self) -> int:
        return self._index

    def elaborate(self, platform: object) -> Module:
        m = Module()
        mover = self.descriptor.mover
        page = m.submodules.page = RegisterPage(page=mover_page(self._config, self._index))
        store = m.submodules.store = BdStore(descriptor=self.descriptor)
        tasks = m.submodules.tasks = self.tasks
        loader = m.submodules.loader = self.loader
        agu = m.submodules.agu = TemporalAgu(
            address_bits=self.descriptor.address_bits,
            loops=mover.loops,
            guards=mover.guards,
            settings=self.descriptor.settings,
        )
        flight = m.submodules.flight = self.flight
        monitor = m.submodules.monitor = self.monitor

        adopt(loader, "i", wiring.flipped(tasks.o))
        adopt(store, "read", loader.read)
        adopt(store, "slot", loader.slot)
        adopt(loader, "bd", store.bd)
        adopt(agu, "i", wiring.flipped(loader.o))
        adopt(agu, "o", self.port.rows)
        adopt(flight, "i", wiring.flipped(loader.o_flight))
        adopt(monitor, "activity", self.port.activity)
        adopt(monitor, "clear", self.clear_counters)
        adopt(monitor, "held", loader.held)
        adopt(monitor, "busy", self.busy)
        if self.descriptor.has_operator:
            operators = m.submodules.operators = Queue(32, depth=OPERATOR_DEPTH)
            adopt(operators, "i", wiring.flipped(loader.o_operator))
            adopt(operators, "o", self.operator)

        self._elaborate_registers(m, page, store)
        self._elaborate_push(m, page, tasks)
        self._elaborate_retirement(m, page, loader, flight)
        self._elaborate_faults(m, page, loader, flight)
        self._elaborate_address(m, page)
        for name in ("active", "starved", "blocked", "conflict", "accesses"):
            adopt(page, name, getattr(monitor, name))
        m.d.comb += [
            self.busy.eq(loader.loaded | ~loader.drained),
            page.status.busy.eq(self.busy),
            page.status.stall.eq(monitor.stall),
            page.status.descriptor.eq(loader.descriptor_loaded),
            page.status.in_flight.eq(flight.level),
        ]
        return m

    def _elaborate_registers(self, m: Module, page: RegisterPage, store: BdStore) -> None:
        """The upper part of the page is the store's."""
        bus = self.registers
        in_store = bus.offset >= DESCRIPTOR_STORE
        m.d.comb += [
            page.bus.request.eq(bus.request & ~in_store),
            store.bus.request.eq(bus.request & in_store),
            bus.read_data.eq(page.bus.read_data),
            bus.error.eq(page.bus.error | store.bus.error),
        ]
        for part in (page.bus, store.bus):
            m.d.comb += [
                part.write.eq(bus.write),
                part.offset.eq(bus.offset),
                part.write_data.eq(bus.write_data),
            ]

    def _elaborate_push(self, m: Module, page: RegisterPage, tasks: Queue) -> None:
        push, count, refused = page.push, Signal(32), Signal()
        adopt(page, "refused", count)
        m.d.comb += [
            tasks.i.valid.eq(push.valid),
            tasks.i.payload.descriptor.eq(push.data.descriptor),
            tasks.i.payload.repeat.eq(push.data.repeat),
            tasks.i.payload.interrupt.eq(push.data.interrupt),
            page.level.eq(tasks.level),
            page.status.refused.eq(refused),
        ]
        m.d.sync += self.refused.eq(0)
        with m.If(page.control.valid & page.control.data.clear_error):
            m.d.sync += refused.eq(0)
        with m.If(push.valid & ~tasks.i.ready):
            m.d.sync += [self.refused.eq(1), refused.eq(1), count.eq(count + 1)]

    def _elaborate_retirement(
        self, m: Module, page: RegisterPage, loader: Loader, flight: Queue
    ) -> None:
        count = Signal(32)
        adopt(page, "retired", count)
        m.d.comb += [
            flight.o.ready.eq(self.port.retired),
            loader.drained.eq(~flight.o.valid),
        ]
        m.d.sync += self.done.eq(0)
        with m.If(self.port.retired & flight.o.valid & flight.o.payload.last):
            m.d.sync += [count.eq(count + 1), self.done.eq(flight.o.payload.interrupt)]
        with m.If(loader.retired):
            m.d.sync += [count.eq(count + 1), self.done.eq(loader.interrupt)]

    def _elaborate_faults(
        self, m: Module, page: RegisterPage, loader: Loader, flight: Queue
    ) -> None:
        low, high = Signal(32), Signal(32)
        adopt(page, "fault_low", low)
        adopt(page, "fault_high", high)
        m.d.comb += [
            page.error.code.eq(self.fault_code),
            page.error.descriptor.eq(self.fault_descriptor),
            page.status.error.eq(self.fault_code != FaultCode.NONE),
        ]
        reported, from_port = Signal(), Signal()
        clear = page.control.valid & page.control.data.clear_error
        m.d.comb += [
            from_port.eq(self.port.fault.code != FaultCode.NONE),
            reported.eq(from_port | (loader.retired & (loader.fault != FaultCode.NONE))),
        ]
        m.d.sync += self.faulted.eq(reported)
        with m.If(clear):
            m.d.sync += [
                self.fault_code.eq(FaultCode.NONE),
                self.fault_descriptor.eq(0),
                Cat(low, high).eq(0),
            ]
        with m.If(reported & (clear | (self.fault_code == FaultCode.NONE))):
            with m.If(from_port):
                m.d.sync += [
                    self.fault_code.eq(self.port.fault.code),
                    self.fault_descriptor.eq(
                        Mux(
                            self.port.fault.named,
                            self.port.fault.descriptor,
                            flight.o.payload.descriptor,
                        )
                    ),
                    Cat(low, high).eq(self.port.fault.address),
                ]
            with m.Else():
                m.d.sync += [
                    self.fault_code.eq(loader.fault),
                    self.fault_descriptor.eq(loader.descriptor_loaded),
                    Cat(low, high).eq(0),
                ]

    def _elaborate_address(self, m: Module, page: RegisterPage) -> None:
        low, high = Signal(32), Signal(32)
        adopt(page, "address_low", low)
        adopt(page, "address_high", high)
        with m.If(self.port.rows.valid):
            m.d.sync += Cat(low, high).eq(self.port.rows.payload.address)
