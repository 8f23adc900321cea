"""From a pushed task to loops that run: BD prefetch, chains, repeats."""

from amaranth.hdl import Cat, Module, Mux, Shape, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..agu.row import temporal_task
from ..bus.fault import TAG_BITS
from ..registry import EXTENSIONS
from .admission import handed_execution
from .checks import BdCheck
from .descriptor import Descriptor
from .iteration import Iteration, fits
from .locks import lock_acquire
from .words import word_notes

__all__ = ["Loader", "mover_task", "queued_task"]


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


class Loader(wiring.Component):
    """Takes tasks, reads their BDs, and hands executions to the address generator.

    A task accepted in cycle t reads its BD in that cycle, and ``o`` is valid in t+1, or in t+2 of a
    BD that iterates. Each handshake on ``o`` is one execution, and reads what comes next in the
    same cycle: the next BD of the chain, the first one again for a repeat, or the first one of the
    next task. So executions follow each other without a bubble, within chains, tasks and between
    them. ``i.ready`` is combinational from ``o.ready``.

    Nothing of this waits for what the BD says, but whether it goes on: in the cycle of the handover
    it is checked, see :class:`~weft.hw.mover.checks.BdCheck`, and what was found goes with it,
    ``o.payload.empty`` and ``o_execution``. One with a flaw, or with a bound or a run length of 0,
    is handed over like any other, and has no rows. With a flaw it ends its task: what was read
    behind it in the task is dropped, which costs a cycle.

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
    empty, iterates : 1
    single : a bit for each bound
        To and from the store, see :class:`~weft.hw.mover.store.BdStore`.
    written : 1
    written_slot : `range(descriptors)`
        As :class:`~weft.hw.mover.iteration.Iteration` takes them.
    o : stream of :func:`~weft.hw.agu.row.temporal_task`
    o_execution : stream of :func:`~weft.hw.mover.admission.handed_execution`
        Both are taken in the same cycle.
    tag : 4
        Of the execution.
    records : 1; only with `dma.records`
        There is a place for records; without it no task has one.
    acquire : 1
        The execution that is handed over needs the lock that ``wanted`` says.
    wanted : :func:`~weft.hw.mover.locks.lock_acquire`
    loaded : 1
        There is a current task.
    descriptor_loaded : 8
        BD slot loaded last.
    reads : 8
        BD slot that is read with ``read``.
    """

    def __init__(self, *, descriptor: Descriptor) -> None:
        self._descriptor = descriptor
        mover = descriptor.mover
        self._task = temporal_task(
            descriptor.address_bits, mover.loops, mover.guards, descriptor.loaded_settings
        )
        members = {
            "i": In(stream.Signature(queued_task(descriptor.address_bits))),
            "read": Out(1),
            "slot": Out(range(mover.descriptors)),
            "bd": In(descriptor.layout),
            "notes": In(word_notes()),
            "empty": In(1),
            "iterates": In(1),
            "single": In(mover.loops),
            "written": In(1),
            "written_slot": In(range(mover.descriptors)),
            "o": Out(stream.Signature(self._task)),
            "o_execution": Out(stream.Signature(handed_execution(descriptor))),
            "tag": In(TAG_BITS),
            "acquire": Out(1),
            "wanted": Out(lock_acquire()),
            "loaded": Out(1),
            "descriptor_loaded": Out(8),
            "reads": Out(8),
        }
        if descriptor.has_records:
            members["records"] = In(1)
        super().__init__(members)
        self._base_shape = Shape.cast(descriptor.layout["base"].shape)

    @property
    def descriptor(self) -> Descriptor:
        return self._descriptor

    def elaborate(self, platform: object) -> Module:
        m = Module()
        bd = self.bd
        task, first = Signal.like(self.i.payload), Signal()  # and in the first BD of its chain
        m.submodules.iteration = iteration = Iteration(descriptor=self._descriptor)
        m.submodules.check = check = BdCheck(descriptor=self._descriptor)
        located, complete = Signal(), Signal()
        self._locate(m, iteration, check, task, first, located)

        handed, takes, ends = Signal(), Signal(), Signal()
        sound = Signal()  # but for where it begins, in the cycle before
        m.d.sync += [located.eq(~self.read), sound.eq(check.sound)]
        m.d.comb += [
            complete.eq(self.loaded & (located | ~self.iterates)),
            self.o.valid.eq(complete & self.o_execution.ready),
            self.o_execution.valid.eq(complete & self.o.ready),
            handed.eq(self.o.valid & self.o.ready),
            self.o.payload.empty.eq(self.empty | ~check.sound),
            self.acquire.eq(handed & bd.acquire_enable & check.sound),
            self.wanted.id.eq(bd.acquire_id),
            self.wanted.value.eq(bd.acquire_value),
            self.wanted.equal.eq(bd.acquire_mode),
            iteration.step.eq(handed & self.iterates & sound & check.start_fits),
        ]
        self._fill(m)
        self._tell(m, check, task, ends)

        # What comes after it.
        m.d.comb += [
            ends.eq(~bd.use_next & (task.repeat == 0)),
            self.i.ready.eq(~self.loaded | (handed & ends)),
            takes.eq(self.i.valid & self.i.ready),
            self.read.eq(takes | (handed & ~ends)),
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
        with m.Elif(handed & ~bd.use_next):
            m.d.sync += task.repeat.eq(task.repeat - 1)
        with m.If(self.read):
            m.d.sync += [self.descriptor_loaded.eq(self.reads), first.eq(~bd.use_next | takes)]
        with m.If(takes | (handed & (ends | ~check.sound))):
            m.d.sync += self.loaded.eq(takes)
        return m

    def _locate(
        self,
        m: Module,
        iteration: Iteration,
        check: BdCheck,
        task: data.View,
        first: Signal,
        located: Signal,
    ) -> None:
        """Where the current BD begins, and whether that is an address: once it is `located`.

        The sum of base and offset is a register: it would be the longest way of all to the checks.
        """
        m.d.comb += [
            iteration.load.eq(self.read),
            iteration.load_slot.eq(self.reads),
            iteration.bd.eq(self.bd),
            iteration.notes.eq(self.notes),
            iteration.written.eq(self.written),
            iteration.written_slot.eq(self.written_slot),
        ]
        address_bits = self._descriptor.address_bits
        base = Signal(Shape(address_bits, self._base_shape.signed))
        start, good, inside = Signal(signed(address_bits + 2)), Signal(), Signal()
        m.d.sync += [start.eq(base + iteration.offset), good.eq(iteration.good)]
        m.d.comb += [
            base.eq(Mux(check.rebased, task.base, self.bd.base)),
            check.slot.eq(self.descriptor_loaded),
            check.bd.eq(self.bd),
            check.notes.eq(self.notes),
            check.rebased.eq(task.rebase & first),
            check.base_fits.eq(task.fits),
            inside.eq(fits(start.as_unsigned(), address_bits, signed=self._base_shape.signed)),
            check.start_fits.eq(~self.iterates | ~located | (good & inside)),
            self.o.payload.base.eq(Mux(self.iterates, start, base)),
        ]

    def _fill(self, m: Module) -> None:
        """The BD as the address generator takes it."""
        task, bd, mover = self.o.payload, self.bd, self._descriptor.mover
        m.d.comb += [
            task.single.eq(self.single),
            task.mark_level.eq(bd.mark_level),
            task.settings.pad.eq(bd.pad),
        ]
        if mover.is_scratchpad:
            m.d.comb += [
                task.settings.tag.eq(self.tag),
                task.settings.mode.eq(bd.mode),
            ]
        for index in range(mover.guards):
            m.d.comb += task.guards[index].eq(bd.guards[index].offset)

    def _tell(self, m: Module, check: BdCheck, task: data.View, ends: Signal) -> None:
        """What others must know of the execution."""
        bd, spec = self.bd, self._descriptor
        told, entry = self.o_execution.payload, self.o_execution.payload.entry
        m.d.comb += [
            told.flaw.eq(check.flaw),
            entry.descriptor.eq(self.descriptor_loaded),
            entry.last.eq(ends),
            entry.interrupt.eq(task.interrupt),
            entry.empty.eq(self.o.payload.empty),
            entry.release_id.eq(bd.release_id),
            entry.release_delta.eq(bd.release_delta),
        ]
        if spec.has_operator:
            m.d.comb += told.beside.operator.eq(bd.operator)
        if spec.has_route:
            route = told.beside.route
            if spec.mover.compares:
                m.d.comb += [route.ends.eq(bd.route), route.meets.eq(self._enables("compare"))]
            else:
                m.d.comb += route.eq(bd.route)
        for name in spec.mover.extensions:
            setting, enable = told.beside[f"extension_{name}"], self._enables(name)
            if name in spec.mover.byte_extensions:
                m.d.comb += setting.eq(Mux(enable, bd.parameters[name], 0))
                continue
            m.d.comb += setting.enable.eq(enable)
            if EXTENSIONS[name].parameter_bits:
                m.d.comb += setting.parameter.eq(bd.parameters[name])
        if spec.has_records:
            results = [name for name in spec.mover.extensions if EXTENSIONS[name].result]
            m.d.comb += [
                entry.record.eq(bd.record & self.records),
                entry.result.eq(Cat(self._enables(name) for name in results).any()),
            ]

    def _enables(self, name: str) -> Value:
        """Whether the current BD goes through the extension."""
        return self.bd.extensions[self._descriptor.mover.extensions.index(name)]
