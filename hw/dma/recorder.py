"""Writes completion records to DRAM: one burst each."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..bus.axi import Axi4Signature, Response
from ..bus.queue import Queue
from ..bus.record import RecordClientSignature, record_request
from ..bus.turns import Turns
from ..bus.wires import adopt
from ..config import RECORD_BYTES, DmaConfig

__all__ = ["RecordWriter", "Recorder"]

_BUS = ("aw", "w", "b")


def _bus(dma: DmaConfig) -> dict[str, wiring.Member]:
    members = Axi4Signature(address_bits=dma.address_bits, data_bits=dma.data_bits).members
    return {channel: members[channel] for channel in _BUS}


class RecordWriter(wiring.Component):
    """Writes 32 bytes in one burst, for each request.

    A request that comes in cycle t while none is being written raises its AW in t+1; its W beats
    follow the AW one a cycle, with strobes for its 32 bytes alone where a beat is wider, and it is
    accepted with the last of them. At most `outstanding` records wait for their response; a further
    one is not begun.

    Parameters
    ----------
    dma
        Widths; a burst holds at least 32 bytes.
    outstanding
        Records that may wait for their response.

    Members
    -------
    i : stream of :func:`~weft.hw.bus.record.record_request`
    o : stream of {resp}
        The bus's response, one for each request and in order; combinational from ``b``.
    aw, w, b : stream
        As in :class:`~weft.hw.bus.axi.Axi4Signature`.
    drain : 1
        While set, nothing is begun; an AW that is raised holds, and its W beats follow.
    idle : 1
        No AW or W is raised and no response awaited.
    """

    def __init__(self, *, dma: DmaConfig, outstanding: int = 1) -> None:
        self._dma = dma
        self._outstanding = outstanding
        super().__init__(
            {
                "i": In(stream.Signature(record_request(dma.address_bits))),
                "o": Out(stream.Signature(data.StructLayout({"resp": Response}))),
                **_bus(dma),
                "drain": In(1),
                "idle": Out(1),
            }
        )

    @property
    def dma(self) -> DmaConfig:
        return self._dma

    @property
    def outstanding(self) -> int:
        return self._outstanding

    def elaborate(self, platform: object) -> Module:
        m = Module()
        self._elaborate_payloads(m)
        busy, awaited = Signal(), Signal(range(self._outstanding + 1))
        written, answered = Signal(), Signal()
        m.d.comb += [
            written.eq(self.w.valid & self.w.ready & self.w.payload.last),
            answered.eq(self.b.valid & self.b.ready),
            self.i.ready.eq(written),
            self.o.valid.eq(self.b.valid),
            self.o.payload.resp.eq(self.b.payload.resp),
            self.b.ready.eq(self.o.ready),
            self.idle.eq(awaited == 0),
        ]
        with m.If(self.i.valid & ~busy & ~self.drain & (awaited != self._outstanding)):
            m.d.sync += [busy.eq(1), self.aw.valid.eq(1), awaited.eq(awaited + ~answered)]
        with m.Elif(answered):
            m.d.sync += awaited.eq(awaited - 1)
        with m.If(self.aw.valid & self.aw.ready):
            m.d.sync += [self.aw.valid.eq(0), self.w.valid.eq(1)]
        with m.If(written):
            m.d.sync += [busy.eq(0), self.w.valid.eq(0)]
        return m

    def _elaborate_payloads(self, m: Module) -> None:
        """Address and beats; one of them may be wider than the record."""
        dma, request, beat = self._dma, self.i.payload, self.w.payload
        lane_bits = (dma.data_bytes - 1).bit_length()
        beats = max(1, RECORD_BYTES // dma.data_bytes)
        address = request.place << (RECORD_BYTES - 1).bit_length()
        index = Signal(range(beats))
        m.d.comb += [
            self.aw.payload.addr.eq(address[lane_bits:] << lane_bits),
            self.aw.payload.len.eq(beats - 1),
            beat.last.eq(index == beats - 1),
        ]
        with m.If(self.w.valid & self.w.ready):
            m.d.sync += index.eq(Mux(beat.last, 0, index + 1))
        if dma.data_bytes <= RECORD_BYTES:
            m.d.comb += [
                beat.data.eq(request.record.word_select(index, dma.data_bits)),
                beat.strb.eq((1 << dma.data_bytes) - 1),
            ]
            return
        place = address[(RECORD_BYTES - 1).bit_length() : lane_bits]
        lanes = Const((1 << RECORD_BYTES) - 1, RECORD_BYTES)
        for part in range(dma.data_bytes // RECORD_BYTES):
            m.d.comb += [
                beat.data.word_select(part, 8 * RECORD_BYTES).eq(request.record),
                beat.strb.word_select(part, RECORD_BYTES).eq(Mux(place == part, lanes, 0)),
            ]


class Recorder(wiring.Component):
    """Collects the records of several clients, in turn, and writes them.

    A record is on the bus for as many cycles as it has beats and three more; so many may wait for
    their response as there are clients. A client whose record waits holds nobody else up: what is
    begun needs the bus alone.

    Parameters
    ----------
    dma
        As in :class:`RecordWriter`.
    clients
        How many there are.

    Members
    -------
    clients : :class:`~weft.hw.bus.record.RecordClientSignature` for each
        One that waits for an answer makes no request.
    aw, w, b, drain, idle
        As in :class:`RecordWriter`; ``b`` is always accepted.
    """

    def __init__(self, *, dma: DmaConfig, clients: int) -> None:
        self._dma = dma
        client = RecordClientSignature(address_bits=dma.address_bits)
        super().__init__(
            {
                "clients": In(client).array(clients),
                **_bus(dma),
                "drain": In(1),
                "idle": Out(1),
            }
        )

    @property
    def dma(self) -> DmaConfig:
        return self._dma

    def elaborate(self, platform: object) -> Module:
        m = Module()
        count = len(self.clients)
        m.submodules.turns = turns = Turns(priorities=[True] * count, aging=1)
        m.submodules.writer = writer = RecordWriter(dma=self._dma, outstanding=count)
        m.submodules.owners = owners = Queue(range(count), depth=count)
        for name in (*_BUS, "drain", "idle"):
            adopt(writer, name, getattr(self, name))
        chosen = Signal()
        owner = Signal(range(count))
        m.d.comb += [
            turns.asking.eq(Cat(client.request.valid for client in self.clients)),
            turns.taken.eq(~chosen & owners.i.ready),
            owners.i.valid.eq(~chosen & turns.grant.any()),
            writer.i.valid.eq(chosen),
            owners.o.ready.eq(writer.o.valid),
            writer.o.ready.eq(owners.o.valid),
        ]
        for number, client in enumerate(self.clients):
            with m.If(turns.grant[number]):
                m.d.comb += owners.i.payload.eq(number)
            with m.If(chosen & (owner == number)):
                m.d.comb += [
                    writer.i.payload.eq(client.request.payload),
                    client.request.ready.eq(writer.i.ready),
                ]
            m.d.comb += [
                client.answer.valid.eq(
                    writer.o.valid & owners.o.valid & (owners.o.payload == number)
                ),
                client.answer.resp.eq(writer.o.payload.resp),
            ]
        with m.If(owners.i.valid & owners.i.ready):
            m.d.sync += [chosen.eq(1), owner.eq(owners.i.payload)]
        with m.Elif(writer.i.ready):
            m.d.sync += chosen.eq(0)
        return m
