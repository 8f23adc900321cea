"""From a pushed task to loops that run: BD prefetch, checks, repeats."""

from collections.abc import Iterator

from amaranth.hdl import Cat, Module, Shape, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..agu.row import temporal_task
from ..bus.fault import FaultCode
from .descriptor import Descriptor

__all__ = ["Loader", "flight_entry", "mover_task"]


def mover_task() -> data.StructLayout:
    """A pushed task: BD slot ``descriptor``, executions less one ``repeat``, ``interrupt``."""
    return data.StructLayout({"descriptor": 8, "repeat": 8, "interrupt": 1})


def flight_entry() -> data.StructLayout:
    """A BD in flight: its slot; whether it ends its task; whether that asks for an interrupt."""
    return data.StructLayout({"descriptor": 8, "last": 1, "interrupt": 1})


def _fits(value: Value, width: int, signed: bool) -> Value:
    """Whether the bits of `value` beyond `width` only extend it."""
    if not signed:
        return ~value[width:].any()
    beyond = value[width - 1 :]
    return ~beyond.any() | beyond.all()


class Loader(wiring.Component):
    """Takes tasks, reads and checks their BDs, and hands them to the address generator.

    A task accepted in cycle t reads its BD in that cycle; the checks are made, and ``o`` is valid,
    in t+1. Each handshake on ``o`` is one execution; with the last one the next task is accepted in
    the same cycle, so executions follow each other without a bubble, within tasks and between them.
    ``i.ready`` is combinational from ``o.ready``.

    An execution is handed over together with its ``o_flight`` entry and its operator word: ``o`` is
    valid only when both side queues have room, so a full one delays and nothing is dropped. (Here
    is the place of the acquire stage: an execution whose BD acquires a lock will wait for it in the
    same way.)

    A BD that fails a check moves nothing, and neither does one with a bound or a run length of 0.
    Its task, with all repeats, retires when everything before it has: ``retired`` is high for one
    cycle, and ``fault`` says why if it was a failure. Checks, in this order: the slot exists, the
    BD is valid, no field without hardware is set, and addresses, deltas, strides, the addressing
    mode and the guards' dimensions fit what is behind them.

    Parameters
    ----------
    descriptor
        The BD.

    Members
    -------
    i : stream of :func:`mover_task`
    read : 1
    slot : `range(descriptors)`
    bd : `descriptor.layout`
        To and from the store, see :class:`~weft.hw.mover.store.BdStore`.
    o : stream of :func:`~weft.hw.agu.row.temporal_task`
    o_flight : stream of :func:`flight_entry`
    o_operator : stream of 32 bits; only if a stream operator takes them
    drained : 1
        No execution is in flight.
    retired : 1
        A task retired that moved nothing.
    interrupt : 1
        The current task's flag.
    fault : :class:`~weft.hw.bus.fault.FaultCode`
        Of the current BD; counts with ``retired``.
    loaded : 1
        There is a current task.
    held : 1
        The current execution waits for room in a side queue.
    descriptor_loaded : 8
        BD slot loaded last.
    """

    def __init__(self, *, descriptor: Descriptor) -> None:
        self._descriptor = descriptor
        mover = descriptor.mover
        self._task = temporal_task(
            descriptor.address_bits, mover.loops, mover.guards, descriptor.settings
        )
        members = {
            "i": In(stream.Signature(mover_task())),
            "read": Out(1),
            "slot": Out(range(mover.descriptors)),
            "bd": In(descriptor.layout),
            "o": Out(stream.Signature(self._task)),
            "o_flight": Out(stream.Signature(flight_entry())),
            "drained": In(1),
            "retired": Out(1),
            "interrupt": Out(1),
            "fault": Out(FaultCode),
            "loaded": Out(1),
            "held": Out(1),
            "descriptor_loaded": Out(8),
        }
        if descriptor.has_operator:
            members["o_operator"] = Out(stream.Signature(32))
        super().__init__(members)

    @property
    def descriptor(self) -> Descriptor:
        return self._descriptor

    def _fit(self) -> Iterator[Value]:
        """For each field that is wider in the BD than in the hardware, whether it fits."""
        address_bits = self._descriptor.address_bits
        base = Shape.cast(self._descriptor.layout["base"].shape)
        yield _fits(self.bd.base.as_unsigned(), address_bits, signed=base.signed)
        delta_bits = self._task["deltas"].shape.elem_shape.width
        for level in range(self._descriptor.mover.loops):
            yield _fits(self.bd.deltas[level].as_unsigned(), delta_bits, signed=True)
        if self._descriptor.mover.is_scratchpad:
            strides = self._descriptor.settings["spatial_strides"].shape
            for dimension in range(strides.length):
                stride = self.bd.spatial_strides[dimension].as_unsigned()
                yield _fits(stride, strides.elem_shape.width, signed=True)
            for index in range(self._descriptor.mover.guards):
                yield self.bd.guards[index].dimension < strides.length
            yield self.bd.mode < len(self._descriptor.config.memory.groups)

    def _is_empty(self) -> Value:
        counts = [self.bd.bounds[level] for level in range(self._descriptor.mover.loops)]
        if not self._descriptor.mover.is_scratchpad:
            counts.append(self.bd.run_length)
        return Cat(count == 0 for count in counts).any()

    def _fill(self, m: Module) -> None:
        """The BD as the address generator takes it."""
        task, bd, mover = self.o.payload, self.bd, self._descriptor.mover
        m.d.comb += [
            task.base.eq(bd.base),
            task.bounds.eq(bd.bounds),
            task.mark_level.eq(bd.mark_level),
            task.settings.pad.eq(bd.pad),
        ]
        m.d.comb += [task.deltas[level].eq(bd.deltas[level]) for level in range(mover.loops)]
        if mover.is_scratchpad:
            m.d.comb += [
                task.settings.slot.eq(self.descriptor_loaded),
                task.settings.mode.eq(bd.mode),
            ]
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
        unsupported = Cat(self.bd[name] for name in self._descriptor.unsupported).any()
        with m.If(self.descriptor_loaded >= self._descriptor.mover.descriptors):
            m.d.comb += self.fault.eq(FaultCode.NO_DESCRIPTOR)
        with m.Elif(~self.bd.valid):
            m.d.comb += self.fault.eq(FaultCode.INVALID)
        with m.Elif(unsupported):
            m.d.comb += self.fault.eq(FaultCode.UNSUPPORTED)
        with m.Elif(~Cat(self._fit()).all()):
            m.d.comb += self.fault.eq(FaultCode.FIELD_RANGE)

        remaining = Signal(8)  # executions after this one
        moves, room, handed, finished = Signal(), Signal(), Signal(), Signal()
        self._fill(m)
        m.d.comb += [
            moves.eq(self.loaded & (self.fault == FaultCode.NONE) & ~self._is_empty()),
            room.eq(self.o_flight.ready),
            self.held.eq(moves & ~room),
            self.o.valid.eq(moves & room),
            handed.eq(self.o.valid & self.o.ready),
            self.o_flight.valid.eq(handed),
            self.o_flight.payload.descriptor.eq(self.descriptor_loaded),
            self.o_flight.payload.last.eq(remaining == 0),
            self.o_flight.payload.interrupt.eq(self.interrupt),
            self.retired.eq(self.loaded & ~moves & self.drained),
            finished.eq((handed & (remaining == 0)) | self.retired),
        ]
        if self._descriptor.has_operator:
            m.d.comb += [
                room.eq(self.o_flight.ready & self.o_operator.ready),
                self.o_operator.valid.eq(handed),
                self.o_operator.payload.eq(self.bd.operator),
            ]

        m.d.comb += [
            self.i.ready.eq(~self.loaded | finished),
            self.read.eq(self.i.valid & self.i.ready),
            self.slot.eq(self.i.payload.descriptor),
        ]
        with m.If(self.read):
            m.d.sync += [
                self.loaded.eq(1),
                self.descriptor_loaded.eq(self.i.payload.descriptor),
                self.interrupt.eq(self.i.payload.interrupt),
                remaining.eq(self.i.payload.repeat),
            ]
        with m.Elif(finished):
            m.d.sync += self.loaded.eq(0)
        with m.Elif(handed):
            m.d.sync += remaining.eq(remaining - 1)
        return m
