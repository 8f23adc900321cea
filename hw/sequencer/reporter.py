"""What became of a program, written to DRAM."""

from amaranth.hdl import Cat, Module, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..bus.access import RegisterAccessSignature
from ..bus.axi import Axi4Signature, Response
from ..bus.opcodes import StopCode, completion_record
from ..bus.page import register_shape
from ..bus.registers import RegisterMap
from ..bus.wires import adopt
from ..config import RECORD_BYTES, AcceleratorConfig
from ..dma.recorder import RecordWriter

__all__ = ["ProgramReporter"]

_FAULT_REGISTERS = ("ERROR", "FAULT_LOW", "FAULT_HIGH")


class ProgramReporter(wiring.Component):
    """Writes the completion record, and says when everything is over.

    ``begin`` in cycle t: if a mover has failed, three of its registers are read, in 9 cycles; if
    there is a ``record`` address, the record is written. ``finished`` is
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
    aw, w, b, drain, idle
        As in :class:`~weft.hw.dma.recorder.RecordWriter`.
    """

    def __init__(self, *, config: AcceleratorConfig) -> None:
        assert config.dma is not None
        self._config = config
        self._writer = RecordWriter(dma=config.dma)
        self._map = RegisterMap(config)
        dma = config.dma
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
                "idle": Out(1),
            }
        )

    @property
    def config(self) -> AcceleratorConfig:
        return self._config

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.writer = writer = self._writer
        for name in ("aw", "w", "b", "drain", "idle"):
            adopt(writer, name, getattr(self, name))
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
                        m.next = "ASKED"
                with m.Elif(self.record == 0):
                    m.d.comb += self.finished.eq(1)
                    m.next = "IDLE"
                with m.Else():
                    m.d.comb += writer.i.valid.eq(1)
                    m.next = "WRITE"
            with m.State("ASKED"):
                m.next = "ANSWER"
            with m.State("ANSWER"):
                m.d.sync += [faults[reading].eq(self.access.answer.data), reading.eq(reading + 1)]
                m.next = "FAULT"
            with m.State("WRITE"):
                m.d.comb += writer.i.valid.eq(1)
                with m.If(writer.i.ready):
                    m.next = "WRITTEN"
            with m.State("WRITTEN"):
                m.d.comb += writer.o.ready.eq(1)
                with m.If(writer.o.valid):
                    m.d.comb += self.finished.eq(1)
                    with m.If(writer.o.payload.resp == Response.SLVERR):
                        m.d.comb += self.code.eq(StopCode.RECORD_SLVERR)
                    with m.If(writer.o.payload.resp == Response.DECERR):
                        m.d.comb += self.code.eq(StopCode.RECORD_DECERR)
                    m.next = "IDLE"

        with m.Switch(first_error.mover):
            for index, page in enumerate(self._map.pages[1 : 1 + len(self._config.movers)]):
                with m.Case(index), m.Switch(reading):
                    for number, name in enumerate(_FAULT_REGISTERS):
                        with m.Case(number):
                            m.d.comb += address.eq(page.address(name))
        known = RECORD_BYTES * 8 - len(faults.as_value())
        m.d.comb += [
            writer.i.payload.place.eq(self.record[(RECORD_BYTES - 1).bit_length() :]),
            writer.i.payload.record.eq(Cat(self.outcome.as_value()[:known], faults)),
        ]
        return m
