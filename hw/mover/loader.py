"""From a pushed task to loops that run: BD prefetch, checks, chains, repeats."""

from collections.abc import Iterator
from typing import Any

from amaranth.hdl import Cat, Module, Mux, Shape, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..agu.row import temporal_task
from ..bus.fault import TAG_BITS, FaultCode
from ..extensions import extension_setting
from ..registry import EXTENSIONS
from .descriptor import Descriptor
from .flight import flight_entry
from .iteration import Iteration, fits
from .locks import lock_acquire
from .reporter import reported_execution
from .words import word_notes

__all__ = ["Loader", "beside_data", "mover_task", "queued_task"]


def mover_task() -> data.StructLayout:
    """A push: BD slot ``descriptor``, executions less one ``repeat``, ``interrupt``, and whether
    to ``rebase``: to put ``base`` in place of that of the first BD of the chain."""
    return data.StructLayout(
        {"descriptor": 8, "repeat": 8, "interrupt": 1, "rebase": 1, "base": 64}
    )


def queued_task(address_bits: int) -> data.StructLayout:
    """A :func:`mover_task` whose base is cut to an address; ``fits`` says that it was one."""
    fields = {name: field.shape for name, field in mover_task()}
    return data.StructLayout(fields | {"base": address_bits, "fits": 1})


def beside_data(descriptor: Descriptor) -> dict[str, Any]:
    """What operators and switch are told of every execution with rows, by name.

    ``operator``: the array's word. ``extension_<name>``, of each extension: on beats an
    :func:`~weft.hw.extensions.extension.extension_setting`; on bytes its parameter, and 0 where the
    BD does not enable it. ``route``: a BD's.
    """
    mover, shapes = descriptor.mover, dict[str, Any]()
    if descriptor.has_operator:
        shapes["operator"] = 32
    for name in mover.extensions:
        bits = EXTENSIONS[name].parameter_bits
        on_bytes = name in mover.byte_extensions
        shapes[f"extension_{name}"] = bits if on_bytes else extension_setting(bits)
    if descriptor.has_route:
        shapes["route"] = descriptor.route
    return shapes


class Loader(wiring.Component):
    """Takes tasks, reads and checks their BDs, and hands them to the address generator.

    A task accepted in cycle t reads its BD in that cycle; the checks are made, and ``o`` is valid,
    in t+1. Each handshake on ``o`` is one execution, and reads what comes next in the same cycle:
    the next BD of the chain, the first one again for a repeat, or the first one of the next task.
    So executions follow each other without a bubble, within chains, tasks and between them.
    ``i.ready`` is combinational from ``o.ready``.

    An execution is handed over together with its ``o_flight`` entry, its route and what operators
    are told: ``o`` is valid only when all side queues have room, so a full one delays and nothing
    is dropped. What it acquires goes to the gate behind the address generator with the same
    handshake.

    A BD that fails a check moves nothing, and neither does one with a bound or a run length of 0.
    It waits until everything before it has retired, acquires its lock if it has one, and only then
    makes an ``empty`` entry in flight. A failed check acquires and releases nothing, and ends its
    task: ``fault`` says why in the cycle of that entry. Checks, in this order: the slot exists, the
    BD is valid, no field without hardware is set, and addresses, deltas, strides, iteration, locks,
    the addressing mode, the guards' dimensions and the route fit what is behind them.

    Parameters
    ----------
    descriptor
        The BD.

    Members
    -------
    i : stream of :func:`queued_task`
    read : 1
    slot : `range(descriptors)`
    bd : `descriptor.layout`
    notes : :func:`~weft.hw.mover.words.word_notes`
    empty : 1
        To and from the store, see :class:`~weft.hw.mover.store.BdStore`.
    written : 1
    written_slot : `range(descriptors)`
        As :class:`~weft.hw.mover.iteration.Iteration` takes them.
    o : stream of :func:`~weft.hw.agu.row.temporal_task`
    o_flight : stream of :func:`~weft.hw.mover.flight.flight_entry`
    tag : 4
        Of the entry that is accepted in this cycle.
    o_<name> : stream of the shape that stands in :func:`beside_data`, for each name there
    records : 1; only with `dma.records`
        There is a place for records; without it no task has one.
    o_report : stream of :func:`~weft.hw.mover.reporter.reported_execution`; only with `dma.records`
        With every entry, those of executions without rows as well.
    acquire : 1
        An execution needs the lock that ``wanted`` says.
    wanted : :func:`~weft.hw.mover.locks.lock_acquire`
    acquiring : 1
        The gate waits for a lock.
    drained : 1
        No execution is in flight.
    fault : :class:`~weft.hw.bus.fault.FaultCode`
        The current BD failed a check; NONE but in the cycle of its entry.
    loaded : 1
        There is a current task.
    held : 1
        The current execution waits for room in a side queue.
    descriptor_loaded : 8
        BD slot loaded last.
    reads : 8
        BD slot that is read with ``read``.
    """

    def __init__(self, *, descriptor: Descriptor) -> None:
        self._descriptor = descriptor
        mover = descriptor.mover
        self._task = temporal_task(
            descriptor.address_bits, mover.loops, mover.guards, descriptor.settings
        )
        members = {
            "i": In(stream.Signature(queued_task(descriptor.address_bits))),
            "read": Out(1),
            "slot": Out(range(mover.descriptors)),
            "bd": In(descriptor.layout),
            "notes": In(word_notes()),
            "empty": In(1),
            "written": In(1),
            "written_slot": In(range(mover.descriptors)),
            "o": Out(stream.Signature(self._task)),
            "o_flight": Out(stream.Signature(flight_entry(records=descriptor.has_records))),
            "tag": In(TAG_BITS),
            "acquire": Out(1),
            "wanted": Out(lock_acquire()),
            "acquiring": In(1),
            "drained": In(1),
            "fault": Out(FaultCode),
            "loaded": Out(1),
            "held": Out(1),
            "descriptor_loaded": Out(8),
            "reads": Out(8),
        }
        for name, shape in beside_data(descriptor).items():
            members[f"o_{name}"] = Out(stream.Signature(shape))
        if descriptor.has_records:
            members |= {"records": In(1), "o_report": Out(stream.Signature(reported_execution()))}
        super().__init__(members)
        self._current = Signal(queued_task(descriptor.address_bits))
        self._rebases = Signal()
        self._address = Signal(signed(descriptor.address_bits + 2))

    @property
    def descriptor(self) -> Descriptor:
        return self._descriptor

    def _fit(self) -> Iterator[Value]:
        """For each field that is wider in the BD than what is behind it, whether it fits."""
        address_bits = self._descriptor.address_bits
        base = Shape.cast(self._descriptor.layout["base"].shape)
        yield self._rebases | ~self.notes.base
        yield ~self._rebases | self._current.fits
        yield fits(self._address.as_unsigned(), address_bits, signed=base.signed)
        locks = self._descriptor.config.locks
        yield ~self.bd.acquire_enable | (self.bd.acquire_id < locks)
        yield (self.bd.release_delta == 0) | (self.bd.release_id < locks)
        yield ~self.notes.range
        if self._descriptor.mover.is_scratchpad:
            for index in range(self._descriptor.mover.guards):
                dimensions = len(self._descriptor.mover.spatial_bounds)
                yield self.bd.guards[index].dimension < dimensions
            yield self.bd.mode < len(self._descriptor.config.memory.groups)
        if self._descriptor.has_route:
            yield self._route_fits()

    def _enables(self, name: str) -> Value:
        """Whether the current BD goes through the extension."""
        return self.bd.extensions[self._descriptor.mover.extensions.index(name)]

    def _route_fits(self) -> Value:
        """Whether the route names others that there are."""
        mover, config, route = self._descriptor.mover, self._descriptor.config, self.bd.route
        sinks, sources = config.switch_sinks, config.switch_sources
        names_sinks = (route != 0) & ~route[len(sinks) :].any()
        names_source = route < len(sources)
        if not mover.compares:
            return names_sinks if mover.is_source else names_source
        return Mux(
            self._enables("compare"),
            names_source & (route != sources.index(mover.name)),
            names_sinks & ~route[sinks.index(mover.name)],
        )

    def _fill(self, m: Module) -> None:
        """The BD as the address generator takes it."""
        task, bd, mover = self.o.payload, self.bd, self._descriptor.mover
        m.d.comb += [
            task.base.eq(self._address),
            task.bounds.eq(bd.bounds),
            task.mark_level.eq(bd.mark_level),
            task.settings.pad.eq(bd.pad),
        ]
        m.d.comb += [task.deltas[level].eq(bd.deltas[level]) for level in range(mover.loops)]
        if mover.is_scratchpad:
            m.d.comb += [
                task.settings.tag.eq(self.tag),
                task.settings.mode.eq(bd.mode),
            ]
            settings = self._descriptor.settings.members
            masks = [name for name in ("channels", "byte_mask") if name in settings]
            m.d.comb += [task.settings[name].eq(bd[name]) for name in masks]
            m.d.comb += [
                task.settings.spatial_strides[dimension].eq(bd.spatial_strides[dimension])
                for dimension in range(len(mover.spatial_bounds))
            ]
        else:
            m.d.comb += task.settings.run_length.eq(bd.run_length)
        for index in range(mover.guards):
            guard, settings = bd.guards[index], task.settings
            m.d.comb += [
                task.guards[index].offset.eq(guard.offset),
                task.guards[index].deltas.eq(guard.deltas),
                settings.limits[index].eq(guard.limit),
            ]
            if mover.is_scratchpad:
                m.d.comb += settings.coefficients[index].eq(guard.coefficient)
                if len(mover.spatial_bounds) > 1:
                    m.d.comb += settings.dimensions[index].eq(guard.dimension)
            else:
                m.d.comb += settings.runs[index].eq(guard.run)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        bd, task = self.bd, self._current
        first = Signal()  # in the first BD of the chain
        m.submodules.iteration = iteration = Iteration(descriptor=self._descriptor)
        self._locate(m, iteration, first)
        flaw = self._check(m, iteration)
        self._fill(m)

        # An execution is handed over with its rows; or, of an empty BD, when it is alone.
        sound, moves, room = Signal(), Signal(), Signal()
        handed, alone, asked, passed = Signal(), Signal(), Signal(), Signal()
        acquires = bd.acquire_enable & sound
        quiet = self.drained
        if self._descriptor.has_records:
            quiet = quiet & self.o_report.ready
        m.d.comb += [
            sound.eq(flaw == FaultCode.NONE),
            moves.eq(self.loaded & sound & ~self.empty),
            self.held.eq(moves & ~room),
            self.o.valid.eq(moves & room),
            handed.eq(self.o.valid & self.o.ready),
            alone.eq(self.loaded & ~moves & quiet),
            passed.eq(alone & (~acquires | (asked & ~self.acquiring))),
            self.acquire.eq(acquires & (handed | (alone & ~asked))),
            self.wanted.id.eq(bd.acquire_id),
            self.wanted.value.eq(bd.acquire_value),
            self.wanted.equal.eq(bd.acquire_mode),
        ]
        with m.If(alone):
            m.d.sync += asked.eq(acquires & ~passed)
        with m.If(passed):
            m.d.comb += self.fault.eq(flaw)

        # What comes after it.
        begun, follows, again, last = Signal(), Signal(), Signal(), Signal()
        m.d.comb += [
            begun.eq(handed | passed),
            follows.eq(sound & bd.use_next),
            again.eq(sound & ~bd.use_next & (task.repeat != 0)),
            last.eq(~follows & ~again),
            iteration.step.eq(begun & sound),
            self.o_flight.valid.eq(begun),
            self.o_flight.payload.descriptor.eq(self.descriptor_loaded),
            self.o_flight.payload.last.eq(last),
            self.o_flight.payload.interrupt.eq(task.interrupt),
            self.o_flight.payload.empty.eq(passed),
            self.o_flight.payload.release_id.eq(bd.release_id),
            self.o_flight.payload.release_delta.eq(Mux(sound, bd.release_delta, 0)),
        ]
        sides = [self.o_flight]
        sides += [getattr(self, f"o_{name}") for name in beside_data(self._descriptor)]
        if self._descriptor.has_operator:
            m.d.comb += self.o_operator.payload.eq(bd.operator)
        if self._descriptor.has_route:
            route = self.o_route.payload
            if self._descriptor.mover.compares:
                m.d.comb += [route.ends.eq(bd.route), route.meets.eq(self._enables("compare"))]
            else:
                m.d.comb += route.eq(bd.route)
        self._tell_extensions(m)
        m.d.comb += [side.valid.eq(handed) for side in sides[1:]]
        if self._descriptor.has_records:
            sides.append(self.o_report)
            self._elaborate_report(m, flaw, begun, passed, last)
        m.d.comb += room.eq(Cat(side.ready for side in sides).all())

        # Which slot is next does not wait for the checks: a BD that fails where its task would have
        # gone on leaves a cycle before the next task.
        takes, ends = Signal(), Signal()
        m.d.comb += [
            ends.eq(~bd.use_next & (task.repeat == 0)),
            self.i.ready.eq(~self.loaded | (begun & ends)),
            takes.eq(self.i.valid & self.i.ready),
            self.read.eq(takes | (begun & ~last)),
            self.slot.eq(self.reads),
        ]
        with m.If(~self.loaded | ends):
            m.d.comb += self.reads.eq(self.i.payload.descriptor)
        with m.Elif(bd.use_next):
            m.d.comb += self.reads.eq(bd.next)
        with m.Else():
            m.d.comb += self.reads.eq(task.descriptor)
        with m.If(takes):
            m.d.sync += task.eq(self.i.payload)
        with m.Elif(begun & again):
            m.d.sync += task.repeat.eq(task.repeat - 1)
        with m.If(self.read):
            m.d.sync += [self.descriptor_loaded.eq(self.reads), first.eq(~bd.use_next | takes)]
        with m.If(takes | (begun & last)):
            m.d.sync += self.loaded.eq(takes)
        return m

    def _tell_extensions(self, m: Module) -> None:
        """What each of the mover's extensions is to do with the execution."""
        bd, mover = self.bd, self._descriptor.mover
        for name in mover.extensions:
            told, enable = getattr(self, f"o_extension_{name}").payload, self._enables(name)
            if name in mover.byte_extensions:
                m.d.comb += told.eq(Mux(enable, bd.parameters[name], 0))
                continue
            m.d.comb += told.enable.eq(enable)
            if EXTENSIONS[name].parameter_bits:
                m.d.comb += told.parameter.eq(bd.parameters[name])

    def _elaborate_report(
        self, m: Module, flaw: Signal, begun: Signal, empty: Signal, last: Signal
    ) -> None:
        """What the record of the task needs to know of an execution that has `begun`."""
        report, entry = self.o_report.payload, self.o_flight.payload
        # What stands in a slot that does not exist is not a BD.
        recorded = self.bd.record & self.records & (flaw != FaultCode.NO_DESCRIPTOR)
        names = self._descriptor.mover.extensions
        result = Cat(self._enables(name) for name in names if EXTENSIONS[name].result).any()
        m.d.comb += [
            self.o_report.valid.eq(begun),
            report.last.eq(last),
            report.record.eq(last & recorded),
            report.empty.eq(empty),
            report.result.eq(report.record & ~empty & result),
            entry.record.eq(report.record),
            entry.result.eq(report.result),
        ]

    def _locate(self, m: Module, iteration: Iteration, first: Signal) -> None:
        """Where the current BD begins."""
        m.d.comb += [
            iteration.load.eq(self.read),
            iteration.load_slot.eq(self.reads),
            iteration.bd.eq(self.bd),
            iteration.notes.eq(self.notes),
            iteration.written.eq(self.written),
            iteration.written_slot.eq(self.written_slot),
        ]
        given = Signal(self._descriptor.address_bits)
        m.d.comb += [
            self._rebases.eq(self._current.rebase & first),
            given.eq(Mux(self._rebases, self._current.base, self.bd.base)),
        ]
        is_signed = Shape.cast(self._descriptor.layout["base"].shape).signed
        m.d.comb += self._address.eq((given.as_signed() if is_signed else given) + iteration.offset)

    def _check(self, m: Module, iteration: Iteration) -> Signal:
        """What is wrong with the current BD."""
        flaw = Signal(FaultCode)
        with m.If(self.descriptor_loaded >= self._descriptor.mover.descriptors):
            m.d.comb += flaw.eq(FaultCode.NO_DESCRIPTOR)
        with m.Elif(~self.bd.valid):
            m.d.comb += flaw.eq(FaultCode.INVALID)
        with m.Elif(self.notes.absent):
            m.d.comb += flaw.eq(FaultCode.UNSUPPORTED)
        with m.Elif(~Cat(*self._fit(), iteration.good).all()):
            m.d.comb += flaw.eq(FaultCode.FIELD_RANGE)
        return flaw
