"""What became of a task, on its way to memory."""

from amaranth.hdl import Cat, Module, Mux, ResetInserter, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..bus.axi import Response
from ..bus.fault import FAULT_ADDRESS_BITS, FaultCode
from ..bus.queue import Queue
from ..bus.record import (
    RING_BYTES,
    RING_PLACES,
    RecordClientSignature,
    TaskStatus,
    operator_result,
    task_record,
)
from ..bus.wires import adopt
from ..config import RECORD_BYTES
from .flight import flight_outcome
from .port import progress
from .tally import ByteTally, tally_entry

__all__ = ["TaskReporter", "reported_execution"]

RESULT_PLACES = 20
"""Executions whose beats are in a stream operator, or past it with their result not taken."""


def reported_execution() -> data.StructLayout:
    """A :func:`~weft.hw.mover.tally.tally_entry`, and whether the operator's ``result`` for it is
    wanted."""
    fields = {name: field.shape for name, field in tally_entry()}
    return data.StructLayout(fields | {"result": 1})


class TaskReporter(wiring.Component):
    """Has the record of each task that wants one written, and lets it retire then.

    ``ended`` waits for the task's bytes and, if wanted, for the result of its last execution; then
    the record is requested, and ``ended`` is accepted in the cycle of the answer. Results that are
    not wanted are taken when they come, so that they hold nobody up.

    Parameters
    ----------
    address_bits
        Of DRAM.
    in_flight, behind
        As in :class:`~weft.hw.mover.tally.ByteTally`.
    has_result
        Whether there is a stream operator with results.

    Members
    -------
    i : stream of :func:`reported_execution`
        Every execution, in order, when it is handed to the address generator.
    progress : :func:`~weft.hw.mover.port.progress`
    result : stream of :func:`~weft.hw.bus.record.operator_result`; only with `has_result`
        One for each execution with rows, in order.
    ended : stream of :func:`~weft.hw.mover.flight.flight_outcome`
        The task that is to retire next; accepted when its record is in memory.
    retired : 32
        RETIRED, before it.
    ring : `address_bits` - 11
        Where its records are, in units of their ring.
    records : :class:`~weft.hw.bus.record.RecordClientSignature`
    drain : 1
        While set, a record waits neither for bytes nor for a result that have not come; it is up
        until a reset of the rest.
    abort : 1
        Forgets the executions; the record that is on its way stays.
    fault : :class:`~weft.hw.bus.fault.FaultCode`
        The bus refused the record at ``fault_address``; only in the cycle of the acceptance.
    fault_address : 64
    """

    def __init__(
        self, *, address_bits: int, in_flight: int, behind: int, has_result: bool = False
    ) -> None:
        self._address_bits = address_bits
        self._in_flight = in_flight
        self._behind = behind
        self._has_result = has_result
        ring_bits = (RING_BYTES - 1).bit_length()
        members = {
            "i": In(stream.Signature(reported_execution())),
            "progress": In(progress()),
            "ended": In(stream.Signature(flight_outcome())),
            "retired": In(32),
            "ring": In(address_bits - ring_bits),
            "records": Out(RecordClientSignature(address_bits=address_bits)),
            "drain": In(1),
            "abort": In(1),
            "fault": Out(FaultCode),
            "fault_address": Out(FAULT_ADDRESS_BITS),
        }
        if has_result:
            members["result"] = In(stream.Signature(operator_result()))
        super().__init__(members)

    @property
    def address_bits(self) -> int:
        return self._address_bits

    @property
    def in_flight(self) -> int:
        return self._in_flight

    @property
    def behind(self) -> int:
        return self._behind

    @property
    def has_result(self) -> bool:
        return self._has_result

    def elaborate(self, platform: object) -> Module:
        m = Module()
        tally = ByteTally(in_flight=self._in_flight, behind=self._behind)
        m.submodules.tally = ResetInserter(self.abort)(tally)
        adopt(tally, "progress", self.progress)
        request, answer = self.records.request, self.records.answer
        outcome, record = self.ended.payload, Signal(task_record())
        token = Signal(32)
        there, found = Signal(), Signal()  # the result is; the record has it
        m.d.comb += [
            self.i.ready.eq(tally.i.ready),
            tally.i.valid.eq(self.i.valid),
            *(tally.i.payload[name].eq(self.i.payload[name]) for name, _ in tally_entry()),
            tally.flush.eq(self.ended.valid & self.drain),
            token.eq(self.retired + 1),
            record.status.eq(Mux(outcome.code == 0, TaskStatus.DONE, TaskStatus.FAULT)),
            record.code.eq(outcome.code),
            record.descriptor.eq(outcome.descriptor),
            record.token.eq(token),
            record.bytes.eq(tally.o.payload),
            record.fault_address.eq(outcome.address),
            record.has_result.eq(found),
            request.payload.place.eq(Cat(token[: RING_PLACES.bit_length() - 1], self.ring)),
            request.payload.record.eq(record),
            self.fault_address.eq(request.payload.place << (RECORD_BYTES - 1).bit_length()),
        ]
        with m.FSM():
            with m.State("COLLECT"):
                complete = ~outcome.result | there | self.drain
                with m.If(self.ended.valid & tally.o.valid & complete):
                    m.d.sync += found.eq(outcome.result & there)
                    m.next = "REQUEST"
            with m.State("REQUEST"):
                m.d.comb += request.valid.eq(1)
                with m.If(request.ready):
                    m.next = "ANSWER"
            with m.State("ANSWER"):
                m.d.comb += [self.ended.ready.eq(answer.valid), tally.o.ready.eq(answer.valid)]
                with m.If(answer.valid):
                    with m.If(answer.resp == Response.SLVERR):
                        m.d.comb += self.fault.eq(FaultCode.RECORD_SLVERR)
                    with m.If(answer.resp == Response.DECERR):
                        m.d.comb += self.fault.eq(FaultCode.RECORD_DECERR)
                    m.next = "COLLECT"
        if self._has_result:
            self._elaborate_results(m, tally, record, there, found)
        return m

    def _elaborate_results(
        self, m: Module, tally: ByteTally, record: data.View, there: Signal, found: Signal
    ) -> None:
        wanted = Queue(1, depth=self._in_flight + self._behind + RESULT_PLACES)
        m.submodules.wanted = ResetInserter(self.abort)(wanted)
        result = self.result
        m.d.comb += [
            self.i.ready.eq(tally.i.ready & wanted.i.ready),
            tally.i.valid.eq(self.i.valid & wanted.i.ready),
            wanted.i.valid.eq(self.i.valid & tally.i.ready & ~self.i.payload.empty),
            wanted.i.payload.eq(self.i.payload.result),
            there.eq(result.valid & wanted.o.valid & wanted.o.payload),
            result.ready.eq(wanted.o.valid & (~wanted.o.payload | (found & self.ended.ready))),
            wanted.o.ready.eq(result.valid & result.ready),
            record.result.eq(result.payload.value & found.replicate(len(record.result))),
            record.result_error.eq(result.payload.error & found),
        ]
