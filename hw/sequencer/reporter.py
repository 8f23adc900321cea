"""What became of a program, written to DRAM."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..bus.access import RegisterAccessSignature
from ..bus.axi import Axi4Signature, Response
from ..bus.opcodes import RECORD_BYTES, StopCode, completion_record
from ..bus.page import register_shape
from ..bus.registers import RegisterMap
from ..config import AcceleratorConfig

__all__ = ["ProgramReporter"]

_FAULT_REGISTERS = ("ERROR", "FAULT_LOW", "FAULT_HIGH")


class ProgramReporter(wiring.Component):
    """Writes the completion record, and says when everything is over.

    ``begin`` in cycle t: if a mover has failed, three of its registers are read, in 6 cycles; if
    there is a ``record`` address, the record is written in one burst, AW first. ``finished`` is
    high for one cycle when its response is in, or when there is nothing left to do (t+1 at the
    earliest); ``code`` counts with it.

    Parameters
    ----------
    config
        The system.

    Members
    -------
    begin : 1
        Pulse.
    outcome : :func:`~weft.hw.bus.opcodes.completion_record`
        Constant from ``begin`` to ``finished``; ``fault`` and ``fault_address`` are not looked at.
    record : `dma.address_bits`
        A multiple of 32; 0 for none; constant as ``outcome``.
    finished : 1
    code : :class:`~weft.hw.bus.opcodes.StopCode`
        RECORD_SLVERR or RECORD_DECERR if the record could not be written, else NONE.
    access : :class:`~weft.hw.bus.access.RegisterAccessSignature`
    aw, w, b : stream
        As in :class:`~weft.hw.bus.axi.Axi4Signature`.
    drain : 1
        While set, nothing is begun; an AW that is raised holds, and its W beats follow.
    idle : 1
        No AW or W is raised and no response awaited.
    """

    def __init__(self, *, config: AcceleratorConfig) -> None:
        assert config.dma is not None
        self._config = config
        self._dma = dma = config.dma
        self._map = RegisterMap(config)
        bus = Axi4Signature(address_bits=dma.address_bits, data_bits=dma.data_bits).members
        super().__init__(
            {
                "begin": In(1),
                "outcome": In(completion_record()),
                "record": In(dma.address_bits),
                "finished": Out(1),
                "code": Out(StopCode),
                "access": Out(RegisterAccessSignature(address_bits=self._map.address_bits)),
                "aw": bus["aw"],
                "w": bus["w"],
                "b": bus["b"],
                "drain": In(1),
                "idle": Out(1, init=1),
            }
        )

    @property
    def config(self) -> AcceleratorConfig:
        return self._config

    def elaborate(self, platform: object) -> Module:
        m = Module()
        first_error = Signal(register_shape(self._map.pages[0].register("FIRST_ERROR")))
        faults = Signal(data.ArrayLayout(32, len(_FAULT_REGISTERS)))
        reading = Signal(range(len(_FAULT_REGISTERS) + 1))
        address = Signal(self._map.address_bits)
        m.d.comb += [
            first_error.eq(self.outcome.first_error),
            Value.cast(self.access.request.payload).eq(address),  # a read
        ]
        with m.FSM():
            with m.State("IDLE"):
                with m.If(self.begin):
                    m.d.sync += [reading.eq(0), faults.eq(0)]
                    m.next = "FAULT"
            with m.State("FAULT"):
                # The others that may be named there are hands on the locks.
                by_mover = first_error.valid & (first_error.mover < len(self._config.movers))
                with m.If(by_mover & (reading != len(_FAULT_REGISTERS))):
                    m.d.comb += self.access.request.valid.eq(~self.drain)
                    with m.If(self.access.request.valid & self.access.request.ready):
                        m.next = "ANSWER"
                with m.Elif(self.record == 0):
                    m.d.comb += self.finished.eq(1)
                    m.next = "IDLE"
                with m.Elif(~self.drain):
                    m.d.sync += [self.aw.valid.eq(1), self.idle.eq(0)]
                    m.next = "WRITE"
            with m.State("ANSWER"):
                m.d.sync += [faults[reading].eq(self.access.answer.data), reading.eq(reading + 1)]
                m.next = "FAULT"
            with m.State("WRITE"):
                m.d.comb += self.b.ready.eq(1)
                with m.If(self.b.valid):
                    m.d.comb += self.finished.eq(1)
                    with m.If(self.b.payload.resp == Response.SLVERR):
                        m.d.comb += self.code.eq(StopCode.RECORD_SLVERR)
                    with m.If(self.b.payload.resp == Response.DECERR):
                        m.d.comb += self.code.eq(StopCode.RECORD_DECERR)
                    m.d.sync += self.idle.eq(1)
                    m.next = "IDLE"

        with m.Switch(first_error.mover):
            for index, page in enumerate(self._map.pages[1 : 1 + len(self._config.movers)]):
                with m.Case(index), m.Switch(reading):
                    for number, name in enumerate(_FAULT_REGISTERS):
                        with m.Case(number):
                            m.d.comb += address.eq(page.address(name))
        self._elaborate_burst(m, Cat(self.outcome.as_value()[: RECORD_BYTES * 8 - 96], faults))
        return m

    def _elaborate_burst(self, m: Module, record: Cat) -> None:
        """The address, and the beats behind it; a beat may be wider than the record."""
        dma = self._dma
        beats = max(1, RECORD_BYTES // dma.data_bytes)
        lane_bits = (dma.data_bytes - 1).bit_length()
        w, payload = self.w, self.w.payload
        index = Signal(range(beats))
        m.d.comb += [
            self.aw.payload.addr.eq(self.record[lane_bits:] << lane_bits),
            self.aw.payload.len.eq(beats - 1),
            payload.last.eq(index == beats - 1),
        ]
        if dma.data_bytes > RECORD_BYTES:
            place = self.record[(RECORD_BYTES - 1).bit_length() : lane_bits]
            lanes = Const((1 << RECORD_BYTES) - 1, RECORD_BYTES)
            for part in range(dma.data_bytes // RECORD_BYTES):
                m.d.comb += [
                    payload.data.word_select(part, 8 * RECORD_BYTES).eq(record),
                    payload.strb.word_select(part, RECORD_BYTES).eq(Mux(place == part, lanes, 0)),
                ]
        else:
            m.d.comb += [
                payload.data.eq(record.word_select(index, dma.data_bits)),
                payload.strb.eq((1 << dma.data_bytes) - 1),
            ]
        with m.If(self.aw.valid & self.aw.ready):
            m.d.sync += [self.aw.valid.eq(0), w.valid.eq(1), index.eq(0)]
        with m.If(w.valid & w.ready):
            m.d.sync += index.eq(index + 1)
            with m.If(payload.last):
                m.d.sync += w.valid.eq(0)
