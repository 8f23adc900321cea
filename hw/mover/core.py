"""What every mover has above its memory port: registers, queue, BDs, loops, retirement."""

from amaranth.hdl import Cat, Module, ResetInserter, Shape, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..agu.temporal import TemporalAgu
from ..bus.counters import Count
from ..bus.fault import FAULT_ADDRESS_BITS, FaultCode
from ..bus.page import RegisterPage
from ..bus.passing import PassingQueue
from ..bus.queue import Queue
from ..bus.record import RecordClientSignature, operator_result
from ..bus.registers import DESCRIPTOR_STORE, RegisterBusSignature, mover_page
from ..bus.windows import window_layout
from ..bus.wires import adopt
from ..config import AcceleratorConfig
from .admission import Admission, beside_data
from .descriptor import Descriptor
from .flight import IN_FLIGHT, Flight, in_flight
from .gate import AcquireGate
from .iteration import ITERATION_WORDS, fits
from .loader import Loader, mover_task, queued_task
from .locks import LockClientSignature
from .monitor import ActivityMonitor
from .port import PortSignature, most_moved
from .reporter import TaskReporter
from .rows import RowSettings
from .store import BdStore
from .use import SlotUse

__all__ = ["IN_FLIGHT", "MoverCore"]

_ACTIVITY = ("active", "starved", "blocked", "conflict", "accesses")
"""Counters of what the monitor tells."""


class MoverCore(wiring.Component):
    """Executes pushed tasks in order, each a chain of BDs one or more times.

    *Timing.* A PUSH on ``registers`` in cycle t shows its first row on ``port.rows`` in t+3, one on
    ``push`` in t+2, if the mover is idle, and a cycle later if its BD iterates. The next BD is
    prefetched while one runs: rows follow without a bubble between BDs of a chain, repeats and
    tasks, one a cycle as far as ``port.rows.ready`` and the locks allow; but an iterating BD leaves
    one behind a BD of one row. A BD without rows (a bound or a run length of 0, or a failed check)
    waits until everything before it has retired; the first row after it follows 3 cycles after
    that, or 5 if it acquires a lock, and a cycle later where a failed check has ended a task before
    its last BD.

    *Locks.* The lock of an execution is asked for from the cycle on in which its first row would be
    offered, that is when the last row before it has gone, and a free one costs no cycle; but one
    after a push of another BD than the last, after a BD without rows and after a BD of one row,
    because the bank wants to know a cycle before what it will be asked for. Its release is offered
    from the cycle after its retirement on, and the execution counts as retired when that was
    accepted. An execution that had a fault does not release.

    *Queue.* A push to a full queue is dropped, counted in REFUSED, remembered in STATUS.refused,
    and ``refused`` pulses; ``push`` waits, and gives way to a PUSH. A BD slot is read whenever the
    chain comes to it. While a queued task names it, after the running task has loaded it, and until
    its last row has gone, it is in use: a write is dropped, and is a fault with the slot.

    *Retirement.* ``port.retired`` ends the oldest execution in flight that has rows. RETIRED counts
    tasks, that is the last execution of each: it shows a retirement in cycle t from t+1 on (with a
    release: the cycle after it was accepted), and ``done`` is high in that cycle if the task was
    pushed with ``interrupt``. A task without rows retires in its turn.

    *Faults.* ``port.fault`` belongs to the execution that it names, else to the oldest in flight; a
    port reports at the latest in the cycle in which it retires the execution. The first fault
    since CONTROL.clear_error is kept with code, BD slot and address (0 for one found by a check);
    ``faulted`` is high in the cycle after every report, never later than the retirement shows. A
    task never waits for a fault to be cleared.

    *Abort.* While ``drain`` is set a PUSH is refused, and ``push`` waits. ``abort`` forgets every
    task but for the executions that are over, which release and retire as ever; those that it ends
    release nothing and do not count, and what they acquired is not given back. BD slots keep what
    they hold, and an iteration begins anew. Counts, counters, the sticky fault and registers stay.

    *Records.* A recorded task retires when the bus has answered for its record, see
    :class:`~weft.hw.mover.reporter.TaskReporter`; so whoever sees RETIRED or the interrupt sees the
    record. A record that the bus refuses is a fault, RECORD_SLVERR or RECORD_DECERR with its
    address, and the task retires. RECORDS is changed while no task is under way.

    ``registers`` has what is read in the cycle after a request. Status and counters are those of
    :class:`~weft.hw.mover.loader.Loader` and :class:`~weft.hw.mover.monitor.ActivityMonitor`;
    ADDRESS is that of the row on offer, or that waits for its lock, else of the last one.

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
    push : stream of :func:`~weft.hw.mover.loader.mover_task`
        As PUSH, for whoever can wait. ``ready`` is combinational from registers.
    locks : :class:`~weft.hw.mover.locks.LockClientSignature`
    port : :class:`~weft.hw.mover.port.PortSignature`
    operator, extension_<name>, route : stream
        Those of :func:`~weft.hw.mover.admission.beside_data`: what operators and switch are told of
        every execution with rows, in order, from the cycle after its first row was offered on.
    records : :class:`~weft.hw.bus.record.RecordClientSignature`; only with `dma.records`
    result : stream of :func:`~weft.hw.bus.record.operator_result`; only if an operator has one
        Of every execution with rows, in order.
    windows : array of :func:`~weft.hw.bus.windows.window_layout`; only with `dma.windows`
        What a DRAM mover may touch; nothing is enabled after a reset.
    apart : 1; only if the mover is on the switch
        The stream waits for the mover at its other end.
    clear_counters : 1
    drain, abort : 1
        As in :class:`~weft.hw.mover.mover.Mover`.
    settled : 1
        What is over has retired.
    retired : 32
        As RETIRED.
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
    tasks : :class:`~weft.hw.bus.passing.PassingQueue` of :func:`~weft.hw.mover.loader.queued_task`
        Pushed, not yet loaded.
    loader : :class:`~weft.hw.mover.loader.Loader`
    admission : :class:`~weft.hw.mover.admission.Admission`
    flight : :class:`~weft.hw.mover.flight.Flight`
        Executions in flight.
    monitor : :class:`~weft.hw.mover.monitor.ActivityMonitor`
    """

    def __init__(self, *, config: AcceleratorConfig, index: int) -> None:
        self._config = config
        self._index = index
        mover = config.movers[index]
        self.descriptor = Descriptor(config, mover)
        members = {
            "registers": In(RegisterBusSignature()),
            "push": In(stream.Signature(mover_task())),
            "locks": Out(LockClientSignature()),
            "port": Out(PortSignature(self.descriptor)),
            "clear_counters": In(1),
            "drain": In(1),
            "abort": In(1),
            "settled": Out(1),
            "retired": Out(32),
            "done": Out(1),
            "faulted": Out(1),
            "fault_code": Out(8),
            "fault_descriptor": Out(8),
            "refused": Out(1),
            "busy": Out(1),
        }
        self._beside = beside_data(self.descriptor)
        for name, shape in self._beside.items():
            members[name] = Out(stream.Signature(shape))
        dma = None if mover.is_scratchpad else config.dma
        self._windows = 0 if dma is None else dma.windows
        if dma is not None and dma.windows:
            layout = data.ArrayLayout(window_layout(dma.address_bits), dma.windows)
            members["windows"] = Out(layout)
        if self.descriptor.has_route:
            members["apart"] = In(1)
        self._recorded = self.descriptor.has_records
        if self._recorded:
            assert config.dma is not None
            members["records"] = Out(RecordClientSignature(address_bits=config.dma.address_bits))
            if mover.has_result:
                members["result"] = In(stream.Signature(operator_result()))
        super().__init__(members)
        self.tasks = PassingQueue(
            queued_task(self.descriptor.address_bits), depth=mover.queue_depth
        )
        self.loader = Loader(descriptor=self.descriptor)
        self.admission = Admission(descriptor=self.descriptor)
        self.flight = Flight(
            depth=in_flight(config, mover),
            records=self._recorded,
            fault_address=self.descriptor.fault_address,
        )
        self.monitor = ActivityMonitor(is_source=mover.is_source)
        if self._recorded:
            assert config.dma is not None
            # A read port retires what it has read; its words, and a beat, may wait for the stream.
            self._reporter = TaskReporter(
                address_bits=config.dma.address_bits,
                in_flight=self.flight.depth,
                behind=mover.data_depth + 1 if mover.kind == "read" else 0,
                has_result=mover.has_result,
            )

    @property
    def config(self) -> AcceleratorConfig:
        return self._config

    @property
    def index(self) -> int:
        return self._index

    def elaborate(self, platform: object) -> Module:
        m = Module()
        mover = self.descriptor.mover
        page = m.submodules.page = RegisterPage(
            page=mover_page(self._config, self._index), counts=self._counts()
        )
        store = m.submodules.store = BdStore(descriptor=self.descriptor)
        tasks, loader, admission = self.tasks, self.loader, self.admission
        agu = TemporalAgu(
            address_bits=self.descriptor.address_bits,
            loops=mover.loops,
            guards=mover.guards,
            settings=self.descriptor.loaded_settings,
        )
        gate = AcquireGate(row=agu.o.payload.shape())
        rows = m.submodules.rows = RowSettings(descriptor=self.descriptor)
        flight = m.submodules.flight = self.flight
        use = SlotUse(slots=mover.descriptors, queue_depth=mover.queue_depth)
        monitor = m.submodules.monitor = self.monitor
        abortable = ResetInserter(self.abort)
        m.submodules.tasks, m.submodules.loader = abortable(tasks), abortable(loader)
        m.submodules.admission = abortable(admission)
        m.submodules.agu, m.submodules.gate = abortable(agu), abortable(gate)
        m.submodules.use = abortable(use)

        adopt(loader, "i", wiring.flipped(tasks.o))
        adopt(store, "read", loader.read)
        adopt(store, "slot", loader.slot)
        for name in ("bd", "notes", "empty", "single", "iterates"):
            adopt(loader, name, getattr(store, name))
        adopt(agu, "i", wiring.flipped(loader.o))
        adopt(store, "level", agu.level)
        adopt(store, "step", agu.step)
        adopt(gate, "i", wiring.flipped(agu.o))
        adopt(gate, "load", loader.acquire)
        adopt(gate, "wanted", loader.wanted)
        adopt(gate, "early", admission.early)
        adopt(gate, "open", admission.passes)
        adopt(gate, "acquire", self.locks.acquire)
        adopt(rows, "i", wiring.flipped(gate.o))
        adopt(rows, "running", store.running)
        adopt(rows, "o", self.port.rows)
        adopt(admission, "i", wiring.flipped(loader.o_execution))
        adopt(admission, "locked", gate.waits)
        adopt(admission, "next_tag", flight.tag)
        adopt(flight, "i", wiring.flipped(admission.o_flight))
        adopt(flight, "port_retired", self.port.retired)
        adopt(flight, "fault", self.port.fault)
        adopt(flight, "release", self.locks.release)
        adopt(flight, "abort", self.abort)
        adopt(flight, "settled", self.settled)
        adopt(loader, "tag", admission.tag)
        adopt(monitor, "activity", self.port.activity)
        adopt(monitor, "held", admission.held)
        adopt(monitor, "busy", self.busy)
        # What goes beside the data may wait for those of every BD in flight, and of one that is not
        # any more.
        for name, shape in self._beside.items():
            queue = Queue(shape, depth=flight.depth + 1)
            m.submodules[f"{name}_queue"] = abortable(queue)
            adopt(queue, "i", wiring.flipped(getattr(admission, f"o_{name}")))
            adopt(queue, "o", getattr(self, name))
        if self.descriptor.has_route:
            adopt(monitor, "apart", self.apart)

        if self._recorded:
            m.submodules.reporter = self._reporter
            self._elaborate_records(m, page)

        self._elaborate_registers(m, page, store)
        self._elaborate_push(m, page, tasks)
        self._elaborate_use(m, store, tasks, loader, agu, use)
        self._elaborate_retirement(m, page, flight)
        self._elaborate_progress(m, page, tasks, flight)
        self._elaborate_faults(m, page, store)
        for window in range(self._windows):
            self._elaborate_window(m, page, window)
        for name in _ACTIVITY:
            m.d.comb += getattr(page, f"{name}_add").eq(getattr(monitor, name))
            adopt(page, f"{name}_clear", self.clear_counters)
        m.d.comb += [
            store.begin.eq(loader.o.valid & loader.o.ready),
            admission.drained.eq(flight.level == 0),
            monitor.locked.eq(~gate.passes),
            self.busy.eq(loader.loaded | admission.waits | ~admission.drained),
            page.status.busy.eq(self.busy),
            page.status.locked.eq(gate.waits),
            page.status.lock.eq(self.locks.acquire.payload.id),
            page.status.stall.eq(monitor.stall),
            page.status.descriptor.eq(loader.descriptor_loaded),
            page.status.in_flight.eq(flight.level),
            Cat(page.address_low, page.address_high).eq(agu.o.payload.address),
        ]
        return m

    def _counts(self) -> dict[str, Count]:
        """The counters of the page."""
        accesses, moved = most_moved(self._config, self.descriptor.mover)
        counts = dict.fromkeys((*_ACTIVITY, "refused"), Count())
        return counts | {
            "accesses": Count(most=accesses),
            "executions": Count(outlasts_reset=True),
            "progress": Count(most=moved, outlasts_reset=True),
        }

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

    def _elaborate_push(self, m: Module, page: RegisterPage, tasks: PassingQueue) -> None:
        push, refused, refuses = page.push, Signal(), Signal()
        signed = Shape.cast(self.descriptor.layout["base"].shape).signed
        queued, bits = tasks.i.payload, self.descriptor.address_bits
        m.d.comb += [
            tasks.i.valid.eq((push.valid | self.push.valid) & ~self.drain),
            self.push.ready.eq(tasks.i.ready & ~push.valid & ~self.drain),
            page.level.eq(tasks.level),
            page.status.refused.eq(refused),
            refuses.eq(push.valid & ~(tasks.i.ready & ~self.drain)),
            page.refused_add.eq(refuses),
        ]

        def enter(task: data.View, base: Value) -> None:
            names = ("descriptor", "repeat", "interrupt", "rebase")
            m.d.comb += [queued[name].eq(task[name]) for name in names]
            m.d.comb += [queued.base.eq(base), queued.fits.eq(fits(base, bits, signed=signed))]

        with m.If(push.valid):
            enter(push.data, Cat(page.base_low, page.base_high))
        with m.Else():
            enter(self.push.payload, self.push.payload.base)
        m.d.sync += self.refused.eq(0)
        with m.If(page.control.valid & page.control.data.clear_error):
            m.d.sync += refused.eq(0)
        with m.If(refuses):
            m.d.sync += [self.refused.eq(1), refused.eq(1)]

    def _elaborate_use(
        self,
        m: Module,
        store: BdStore,
        tasks: PassingQueue,
        loader: Loader,
        agu: TemporalAgu,
        use: SlotUse,
    ) -> None:
        """Keep the host off the slots in use."""
        state = Cat(store.written_word == word for word in ITERATION_WORDS).any()
        m.d.comb += [
            use.push.eq(tasks.i.valid & tasks.i.ready),
            use.push_slot.eq(tasks.i.payload.descriptor),
            use.pop.eq(loader.i.valid & loader.i.ready),
            use.pop_slot.eq(tasks.head.descriptor),
            use.load.eq(loader.read),
            use.load_slot.eq(loader.reads),
            use.running.eq(loader.loaded),
            use.stepping.eq(agu.o.valid),
            use.step_slot.eq(store.begun),
            use.slot.eq(store.written_slot),
            store.refused.eq(store.writes & use.in_use),
            loader.written.eq(store.writes & ~use.in_use & state),
            loader.written_slot.eq(store.written_slot),
        ]

    def _elaborate_retirement(self, m: Module, page: RegisterPage, flight: Flight) -> None:
        count = self.retired
        adopt(page, "retired", count)
        m.d.sync += self.done.eq(0)
        with m.If(flight.retired & flight.oldest.last):
            m.d.sync += [count.eq(count + 1), self.done.eq(flight.oldest.interrupt)]

    def _elaborate_progress(
        self, m: Module, page: RegisterPage, tasks: PassingQueue, flight: Flight
    ) -> None:
        """How far the present task is: it stands when the task is no more."""
        stands, begins, done = Signal(init=1), Signal(), self.port.progress
        m.d.comb += [
            begins.eq(stands & ~self.drain & tasks.i.valid & tasks.i.ready),
            page.progress_add.eq(done.bytes),
            page.progress_clear.eq(done.last | begins),
            page.executions_add.eq(flight.retired),
            page.executions_clear.eq((flight.retired & flight.oldest.last) | begins),
        ]
        with m.If(self.drain):
            m.d.sync += stands.eq(1)
        with m.Elif(begins):
            m.d.sync += stands.eq(0)

    def _elaborate_faults(self, m: Module, page: RegisterPage, store: BdStore) -> None:
        """Keep the first fault; of several in a cycle the port's, then that of a check."""
        # That of a record is one of DRAM.
        shape = FAULT_ADDRESS_BITS if self._recorded else self.descriptor.fault_address
        address, first_address = Signal(shape), Signal(shape)
        m.d.comb += [
            Cat(page.fault_low, page.fault_high).eq(first_address),
            page.error.code.eq(self.fault_code),
            page.error.descriptor.eq(self.fault_descriptor),
            page.status.error.eq(self.fault_code != FaultCode.NONE),
        ]
        code, descriptor = Signal(8), Signal(8)
        own = self.port.fault
        with m.If(own.code != FaultCode.NONE):
            m.d.comb += [
                code.eq(own.code),
                descriptor.eq(self.flight.fault_descriptor),
                address.eq(own.address),
            ]
        with m.Elif(self.admission.fault != FaultCode.NONE):
            m.d.comb += [
                code.eq(self.admission.fault),
                descriptor.eq(self.admission.o_flight.payload.descriptor),
            ]
        with m.Elif(store.refused):
            m.d.comb += [
                code.eq(FaultCode.DESCRIPTOR_IN_USE),
                descriptor.eq(store.written_slot),
            ]
        if self._recorded:
            with m.Elif(self._reporter.fault != FaultCode.NONE):
                m.d.comb += [
                    code.eq(self._reporter.fault),
                    descriptor.eq(self.flight.oldest.descriptor),
                    address.eq(self._reporter.fault_address),
                ]
        reported, clear = code != FaultCode.NONE, Signal()
        m.d.comb += clear.eq(page.control.valid & page.control.data.clear_error)
        m.d.sync += self.faulted.eq(reported)
        with m.If(clear | (reported & (self.fault_code == FaultCode.NONE))):
            m.d.sync += [
                self.fault_code.eq(code),
                self.fault_descriptor.eq(descriptor),
                first_address.eq(address),
            ]

    def _elaborate_records(self, m: Module, page: RegisterPage) -> None:
        reporter, admission, flight = self._reporter, self.admission, self.flight
        adopt(reporter, "i", wiring.flipped(admission.o_report))
        adopt(reporter, "progress", self.port.progress)
        adopt(reporter, "ended", wiring.flipped(flight.outcome))
        adopt(reporter, "retired", self.retired)
        adopt(reporter, "records", self.records)
        adopt(reporter, "drain", self.drain)
        adopt(reporter, "abort", self.abort)
        adopt(flight, "flaw", admission.fault)
        if reporter.has_result:
            adopt(reporter, "result", self.result)
        low, high = page.records_low.ring, getattr(page, "records_high", None)
        m.d.comb += reporter.ring.eq(low if high is None else Cat(low, high))
        m.d.sync += self.loader.records.eq(reporter.ring != 0)

    def _elaborate_window(self, m: Module, page: RegisterPage, index: int) -> None:
        window, name = self.windows[index], f"window{index}"
        enabling = getattr(page, f"{name}_first_low")
        m.d.comb += window.enable.eq(enabling.enable)
        for end in ("first", "last"):
            low = getattr(page, f"{name}_{end}_low").page
            high = getattr(page, f"{name}_{end}_high", None)
            m.d.comb += window[end].eq(low if high is None else Cat(low, high))
