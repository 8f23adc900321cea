"""The executions of a mover that have begun and have not retired."""

from amaranth.hdl import Module, Mux, Shape, ShapeLike, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from ..bus.fault import FAULT_ADDRESS_BITS, TAG_BITS, FaultCode, fault_report
from ..config import AcceleratorConfig, MoverConfig
from .locks import LOCK_ID_BITS, LOCK_VALUE_BITS, lock_release

__all__ = ["IN_FLIGHT", "Flight", "flight_entry", "flight_outcome", "in_flight"]

IN_FLIGHT = (1 << TAG_BITS) - 1
"""Executions of a scratchpad mover that may be handed to the address generator and not be retired:
one fewer than there are tags."""


def in_flight(config: AcceleratorConfig, mover: MoverConfig) -> int:
    """The same for any `mover`, one less than a power of two.

    A DRAM mover's are as many as its bursts, so that BDs of a burst each use them all; its port
    needs no tags.
    """
    if mover.is_scratchpad or config.dma is None:
        return IN_FLIGHT
    dma = config.dma
    bursts = dma.read_outstanding if mover.kind == "mm2s" else dma.write_outstanding
    return max(IN_FLIGHT, (1 << (bursts - 1).bit_length()) - 1)


def flight_entry(*, records: bool = False) -> data.StructLayout:
    """An execution: its BD ``descriptor``; whether it ends its task, ``last``, and whether that
    asks for an ``interrupt``; what it releases (nothing if ``release_delta`` is 0); whether it is
    ``empty``, so that the port does not hear of it. With `records`: whether it ends a task that has
    a ``record``, and whether an operator's ``result`` stands in that."""
    fields: dict[str, object] = {
        "descriptor": 8,
        "last": 1,
        "interrupt": 1,
        "empty": 1,
        "release_id": LOCK_ID_BITS,
        "release_delta": signed(LOCK_VALUE_BITS),
    }
    return data.StructLayout(fields | ({"record": 1, "result": 1} if records else {}))


def flight_outcome() -> data.StructLayout:
    """How a task ended: ``code`` of its first fault, NONE without one, with its ``address``; slot
    of the ``descriptor`` at fault, or of the last; and whether an operator's ``result`` is part of
    it."""
    return data.StructLayout(
        {"descriptor": 8, "code": 8, "address": FAULT_ADDRESS_BITS, "result": 1}
    )


class Flight(wiring.Component):
    """A ring of executions in order, each named by its place: the ``tag`` that its rows carry.

    An execution is *over* when the port says so, and an empty one, which is accepted only into an
    empty ring, at once. The oldest that is over retires. It does so in the cycle of
    ``port_retired`` if nothing else is over and it releases nothing, else it releases its lock from
    the next cycle on and retires when that has been accepted. ``port_retired`` may come in every
    cycle: what is over and has not released yet stays in the ring.

    An execution that had a fault retires without its release. A fault belongs to the execution that
    it names, else to the oldest that is not over, and is reported no later than in the cycle in
    which that is over.

    ``abort`` forgets the executions that are not over; the others retire as ever.

    With `records`, an execution that ends a recorded task offers the task's ``outcome`` from the
    cycle after the one in which it is over on, or has released its lock, and retires when that is
    accepted. Of the faults of a task the first of its earliest execution with one counts. An
    execution that has a fault in the cycle in which it is over retires in the next.

    Parameters
    ----------
    depth
        Executions in the ring, one less than a power of two.
    records
        Whether tasks can be recorded.
    fault_address
        Shape of the address of a fault.

    Members
    -------
    i : stream of :func:`flight_entry`
    flaw : :class:`~weft.hw.bus.fault.FaultCode`; only with `records`
        What a check found in the execution that is accepted in this cycle; it is ``empty``.
    tag : 4
        Of the execution that is accepted in this cycle; only where `depth` is IN_FLIGHT does it
        name that one alone.
    port_retired : 1
    abort : 1
    fault : :func:`~weft.hw.bus.fault.fault_report`
    fault_descriptor : 8
        BD slot of the execution that `fault` belongs to.
    release : stream of :func:`~weft.hw.mover.locks.lock_release`
        ``valid`` and ``payload`` are registers, or read from them.
    outcome : stream of :func:`flight_outcome`; only with `records`
    retired : 1
        The oldest execution retires.
    oldest : :func:`flight_entry`
        Counts while ``level`` is not 0.
    level : `range(depth + 1)`
        Executions in the ring.
    settled : 1
        None of them is over.
    """

    def __init__(
        self,
        *,
        depth: int = IN_FLIGHT,
        records: bool = False,
        fault_address: ShapeLike = FAULT_ADDRESS_BITS,
    ) -> None:
        if depth < 1 or depth & (depth + 1):
            raise ValueError(f"a ring holds one less than a power of two, not {depth}")
        self._depth = depth
        self._records = records
        self._fault_address = Shape.cast(fault_address)
        self._entry = flight_entry(records=records)
        super().__init__(
            {
                "i": In(stream.Signature(self._entry)),
                "tag": Out(TAG_BITS),
                "port_retired": In(1),
                "abort": In(1),
                "fault": In(fault_report(self._fault_address)),
                "fault_descriptor": Out(8),
                "release": Out(stream.Signature(lock_release())),
                "retired": Out(1),
                "oldest": Out(self._entry),
                "level": Out(range(depth + 1)),
                "settled": Out(1),
            }
            | (
                {"flaw": In(FaultCode), "outcome": Out(stream.Signature(flight_outcome()))}
                if records
                else {}
            )
        )

    @property
    def depth(self) -> int:
        return self._depth

    @property
    def records(self) -> bool:
        return self._records

    @property
    def fault_address(self) -> Shape:
        return self._fault_address

    def elaborate(self, platform: object) -> Module:
        m = Module()
        places = self._depth + 1
        m.submodules.entries = entries = Memory(shape=self._entry, depth=places, init=[])
        m.submodules.slots = slots = Memory(shape=8, depth=places, init=[])
        # Between head and open: over, and not retired. Between open and tail: not over.
        head, opened, tail = (Signal(range(places), name=name) for name in ("head", "open", "tail"))
        spoilt = Signal(places)
        accept, over, keeps = Signal(), Signal(), Signal()
        clean = Signal(init=1)  # what is over may retire at once, as far as its faults go
        freed = Signal()  # the oldest has released its lock
        blamed = Mux(self.fault.named, self.fault.tag, opened)

        for memory, value in ((entries, self.i.payload), (slots, self.i.payload.descriptor)):
            port = memory.write_port()
            m.d.comb += [port.en.eq(accept), port.addr.eq(tail), port.data.eq(value)]
        oldest, named = entries.read_port(domain="comb"), slots.read_port(domain="comb")
        m.d.comb += [
            oldest.addr.eq(head),
            self.oldest.eq(oldest.data),
            named.addr.eq(blamed),
            self.fault_descriptor.eq(named.data),
        ]

        m.d.comb += [
            self.i.ready.eq(self.level != self._depth),
            accept.eq(self.i.valid & self.i.ready),
            self.tag.eq(tail),
            over.eq(self.port_retired & (opened != tail)),
            self.settled.eq(head == opened),
            keeps.eq((self.oldest.release_delta != 0) & ~spoilt.bit_select(head, 1) & ~freed),
            self.release.valid.eq((head != opened) & keeps),
            self.release.payload.id.eq(self.oldest.release_id),
            self.release.payload.delta.eq(self.oldest.release_delta),
            self.retired.eq(Mux(keeps, self.release.valid & self.release.ready, over & clean)),
        ]
        with m.If((head != opened) & ~keeps):
            m.d.comb += self.retired.eq(1)
        flawed = Signal()
        with m.If(self.fault.code != FaultCode.NONE):
            m.d.sync += spoilt.bit_select(blamed, 1).eq(1)
        with m.If(accept):
            m.d.sync += [tail.eq(tail + 1), spoilt.bit_select(tail, 1).eq(flawed)]
        if self._records:
            m.d.comb += [
                clean.eq(self.fault.code == FaultCode.NONE),
                flawed.eq(accept & (self.flaw != FaultCode.NONE)),
            ]
            place = Mux(flawed, tail, blamed)
            failed = spoilt.bit_select(head, 1)
            self._elaborate_outcome(m, place, flawed, spoilt.bit_select(blamed, 1), head, failed)
            with m.If(self.oldest.record):
                m.d.comb += [
                    self.outcome.valid.eq((head != opened) & ~keeps),
                    self.retired.eq(self.outcome.valid & self.outcome.ready),
                ]
                with m.If(self.release.valid & self.release.ready):
                    m.d.sync += freed.eq(1)
                with m.If(self.retired):
                    m.d.sync += freed.eq(0)

        with m.If(over | (accept & self.i.payload.empty)):
            m.d.sync += opened.eq(opened + 1)
        with m.If(self.retired):
            m.d.sync += head.eq(head + 1)
        with m.If(accept & ~self.retired):
            m.d.sync += self.level.eq(self.level + 1)
        with m.Elif(self.retired & ~accept):
            m.d.sync += self.level.eq(self.level - 1)
        with m.If(self.abort):
            rest = Signal.like(tail)
            m.d.comb += rest.eq(opened + (over | (accept & self.i.payload.empty)))
            m.d.sync += [tail.eq(rest), self.level.eq((rest - head - self.retired)[: len(rest)])]
        return m

    def _elaborate_outcome(
        self, m: Module, place: Value, flawed: Value, known: Value, head: Signal, failed: Value
    ) -> None:
        """The first fault of each execution, and of each task.

        A fault now belongs to the execution at `place`, which is `flawed` by a check or has one
        that is `known`. The oldest has `failed` or not.
        """
        shape = data.StructLayout({"code": 8, "address": self._fault_address})
        m.submodules.reports = reports = Memory(shape=shape, depth=self._depth + 1, init=[])
        write, read = reports.write_port(), reports.read_port(domain="comb")
        m.d.comb += [
            write.addr.eq(place),
            write.en.eq(flawed | ((self.fault.code != FaultCode.NONE) & ~known)),
            write.data.code.eq(Mux(flawed, self.flaw, self.fault.code)),
            write.data.address.eq(Mux(flawed, 0, self.fault.address)),
            read.addr.eq(head),
        ]
        kept, outcome = Signal(flight_outcome()), self.outcome.payload
        m.d.comb += [outcome.descriptor.eq(self.oldest.descriptor), outcome.code.eq(kept.code)]
        with m.If(kept.code != FaultCode.NONE):
            m.d.comb += [
                outcome.descriptor.eq(kept.descriptor),
                outcome.address.eq(kept.address),
            ]
        with m.Elif(failed):
            m.d.comb += [outcome.code.eq(read.data.code), outcome.address.eq(read.data.address)]
        m.d.comb += outcome.result.eq(self.oldest.result)
        with m.If(self.retired):
            m.d.sync += kept.eq(outcome)
            with m.If(self.oldest.last):
                m.d.sync += kept.code.eq(FaultCode.NONE)
        # The rest of the task never comes; those that are over before it still do.
        cut = Signal()
        with m.If(self.abort):
            m.d.sync += cut.eq(1)
        with m.Elif(cut & (self.level == 0)):
            m.d.sync += [cut.eq(0), kept.code.eq(FaultCode.NONE)]
