"""Between the handover of an execution and its being in flight."""

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..bus.fault import TAG_BITS, FaultCode
from ..bus.streams import present_fields
from ..extensions import extension_setting
from .descriptor import Descriptor
from .flight import flight_entry
from .reporter import reported_execution

__all__ = ["Admission", "beside_data", "handed_execution"]


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
        bits = mover.parameter_bits(name)
        on_bytes = name in mover.byte_extensions
        shapes[f"extension_{name}"] = bits if on_bytes else extension_setting(bits)
    if descriptor.has_route:
        shapes["route"] = descriptor.route
    return shapes


def handed_execution(descriptor: Descriptor) -> data.StructLayout:
    """An execution as it was handed over: what was found wrong with its BD, ``flaw``; its ``entry``
    in flight, as it is without a flaw but for ``empty``, which it then is; and what stands in
    :func:`beside_data`, ``beside``."""
    return present_fields(
        {
            "flaw": FaultCode,
            "entry": flight_entry(records=descriptor.has_records),
            "beside": data.StructLayout(beside_data(descriptor)),
        }
    )


class Admission(wiring.Component):
    """Holds an execution that the address generator has got until all who must know of it do.

    What is handed over in cycle t is known to be sound or not from t+1 on, the cycle in which its
    first row would go. An execution that moves is entered in flight, and told to those beside the
    data, when all of them have room: in t+1 as a rule, and the next one may be handed over then;
    its rows pass from that cycle on. One that does not move waits, and lets none be handed over,
    until everything before it has retired and it has its lock, if it acquires one; then it makes an
    ``empty`` entry. One with a flaw acquires and releases nothing, and ends its task: ``fault``
    says why in the cycle of that entry.

    Parameters
    ----------
    descriptor
        The BD.

    Members
    -------
    i : stream of :func:`handed_execution`
        ``ready`` is combinational from the queues' ready.
    locked : 1
        The lock of the execution is waited for.
    drained : 1
        No execution is in flight.
    o_flight : stream of :func:`~weft.hw.mover.flight.flight_entry`
    next_tag : 4
        Of the entry that is accepted next.
    o_<name> : stream of the shape that stands in :func:`beside_data`, for each name there
    o_report : stream of :func:`~weft.hw.mover.reporter.reported_execution`; only with `dma.records`
        With every entry, those of executions without rows as well.
    tag : 4
        Of the execution that is handed over in this cycle.
    waits : 1
        An execution is not in flight yet.
    passes : 1
        Rows may pass: it is, or will be with this cycle.
    early : 1
        The lock of an execution that does not move must not be asked for in the next cycle.
    held : 1
        It waits for room.
    fault : :class:`~weft.hw.bus.fault.FaultCode`
        NONE but in the cycle of the entry of an execution with a flaw.
    """

    def __init__(self, *, descriptor: Descriptor) -> None:
        self._descriptor = descriptor
        members = {
            "i": In(stream.Signature(handed_execution(descriptor))),
            "locked": In(1),
            "drained": In(1),
            "o_flight": Out(stream.Signature(flight_entry(records=descriptor.has_records))),
            "next_tag": In(TAG_BITS),
            "tag": Out(TAG_BITS),
            "waits": Out(1),
            "passes": Out(1),
            "early": Out(1),
            "held": Out(1),
            "fault": Out(FaultCode),
        }
        for name, shape in beside_data(descriptor).items():
            members[f"o_{name}"] = Out(stream.Signature(shape))
        if descriptor.has_records:
            members["o_report"] = Out(stream.Signature(reported_execution()))
        super().__init__(members)

    @property
    def descriptor(self) -> Descriptor:
        return self._descriptor

    def elaborate(self, platform: object) -> Module:
        m = Module()
        now, entry = Signal.like(self.i.payload), self.o_flight.payload
        begins, moves, rests, enters, room = (Signal() for _ in range(5))
        flawed, last = Signal(), Signal()
        beside = [getattr(self, f"o_{name}") for name in beside_data(self._descriptor)]
        queues, quiet = [self.o_flight, *beside], self.drained
        if self._descriptor.has_records:
            queues.append(self.o_report)
            quiet = quiet & self.o_report.ready
        m.d.comb += [
            flawed.eq(now.flaw != FaultCode.NONE),
            last.eq(now.entry.last | flawed),
            room.eq(Cat(queue.ready for queue in queues).all()),
            moves.eq(self.waits & ~now.entry.empty & room),
            self.held.eq(self.waits & ~now.entry.empty & ~room),
            rests.eq(self.waits & now.entry.empty),
            begins.eq(self.i.valid & self.i.ready),
            self.early.eq((begins & self.i.payload.entry.empty) | (rests & ~quiet)),
            enters.eq(moves | (rests & quiet & ~self.locked)),
            self.passes.eq(~self.waits | moves),
            self.i.ready.eq(self.passes),
            self.tag.eq(self.next_tag + self.waits),
            self.o_flight.valid.eq(enters),
            entry.eq(now.entry),
            entry.last.eq(last),
            entry.release_delta.eq(Mux(flawed, 0, now.entry.release_delta)),
        ]
        with m.If(enters & flawed):
            m.d.comb += self.fault.eq(now.flaw)
        for name, queue in zip(beside_data(self._descriptor), beside, strict=True):
            m.d.comb += [queue.valid.eq(moves), queue.payload.eq(now.beside[name])]
        if self._descriptor.has_records:
            recorded, report = Signal(), self.o_report.payload
            m.d.comb += [
                # What stands in a slot that does not exist is not a BD.
                recorded.eq(last & now.entry.record & (now.flaw != FaultCode.NO_DESCRIPTOR)),
                entry.record.eq(recorded),
                entry.result.eq(recorded & moves & now.entry.result),
                self.o_report.valid.eq(enters),
                *(report[name].eq(entry[name]) for name, _ in reported_execution()),
            ]
        with m.If(self.i.ready):
            m.d.sync += self.waits.eq(self.i.valid)
            with m.If(self.i.valid):
                m.d.sync += now.eq(self.i.payload)
        with m.Elif(enters):
            m.d.sync += self.waits.eq(0)
        return m
