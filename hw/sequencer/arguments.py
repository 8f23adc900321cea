"""The argument registers of the sequencer's page."""

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from ..bus.opcodes import ARGUMENT_BITS
from ..bus.registers import Page, RegisterBusSignature
from .fetcher import WORD_BITS

__all__ = ["ArgumentFile"]

HALF_BITS = WORD_BITS // 2


class ArgumentFile(wiring.Component):
    """Holds the arguments in memories, a host's hand on each half, all 0 after reset.

    It answers as a :class:`~weft.hw.bus.page.RegisterPage` of the registers ARG0_LOW, ARG0_HIGH,
    ARG1_LOW ... alone would: a request in cycle t in t+1, or with ``error`` in t, and no data, if
    it is for another register. `argument` is combinational from `index`, and shows a write from the
    next cycle on.

    Parameters
    ----------
    page
        The sequencer's; the registers of its arguments lie one behind the other.
    arguments
        Their number.

    Members
    -------
    bus : :class:`~weft.hw.bus.registers.RegisterBusSignature`
    index : 4
    argument : 64
        Any value for an index beyond the last.
    """

    def __init__(self, *, page: Page, arguments: int) -> None:
        self._page = page
        self._arguments = arguments
        super().__init__(
            {
                "bus": In(RegisterBusSignature()),
                "index": In(ARGUMENT_BITS),
                "argument": Out(WORD_BITS),
            }
        )

    @property
    def page(self) -> Page:
        return self._page

    @property
    def arguments(self) -> int:
        return self._arguments

    def elaborate(self, platform: object) -> Module:
        m = Module()
        bus, first = self.bus, self._page.register("ARG0_LOW").offset
        place = Signal.like(bus.offset)
        m.d.comb += place.eq(bus.offset - first)  # behind the last one, if below the first
        is_own = place < 8 * self._arguments
        held = []
        for half, is_half in enumerate((~place[2], place[2])):
            memory = m.submodules[f"half_{half}"] = Memory(
                shape=HALF_BITS, depth=self._arguments, init=[]
            )
            write_port = memory.write_port()
            # A memory keeps its words through a reset.
            written = Signal(self._arguments, name=f"written_{half}")

            def read(index: Value, memory: Memory = memory, written: Signal = written) -> Value:
                port = memory.read_port(domain="comb")
                m.d.comb += port.addr.eq(index)
                return Mux(written.bit_select(index, 1), port.data, 0)

            m.d.comb += [
                write_port.addr.eq(place >> 3),
                write_port.data.eq(bus.write_data),
                write_port.en.eq(bus.request & bus.write & is_own & is_half),
                self.argument.word_select(half, HALF_BITS).eq(read(self.index)),
            ]
            with m.If(write_port.en):
                m.d.sync += written.bit_select(write_port.addr, 1).eq(1)
            held.append(Mux(is_half, read(write_port.addr), 0))
        m.d.comb += bus.error.eq(bus.request & ~is_own)
        with m.If(bus.request):
            m.d.sync += bus.read_data.eq(Mux(is_own & ~bus.write, held[0] | held[1], 0))
        return m
