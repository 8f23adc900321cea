"""Small designs whose area is easily told."""

from amaranth.back import rtlil
from amaranth.hdl import Module, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from weft.area.netlist import Block, cut


class Lane(wiring.Component):
    """`step` times one byte of a wide row, in a register."""

    def __init__(self, *, index: int, step: int = 3, width: int = 10) -> None:
        self._index = index
        self._step = step
        self._width = width
        super().__init__({"row": In(32), "enable": In(1), "o": Out(width)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.sum = inner = Module()
        total = Signal(self._width)
        inner.d.comb += total.eq(self.row.word_select(self._index, 8) * self._step)
        with m.If(self.enable):
            m.d.sync += self.o.eq(total)
        return m


class Lanes(wiring.Component):
    """Four lanes that share a row; the last multiplies by another number."""

    row: In(32)
    enable: In(1)
    o: Out(10).array(4)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        for index in range(4):
            lane = Lane(index=index, step=5 if index == 3 else 3)
            m.submodules[f"lane_{index}"] = lane
            lane.row = self.row
            lane.enable = self.enable
            m.d.comb += self.o[index].eq(lane.o)
        return m


class Pipeline(wiring.Component):
    """What the emitted language has: signed sums, choices, a memory, a submodule, unused bits.

    Every port has a width of its own.
    """

    a: In(signed(9))
    b: In(signed(7))
    select: In(2)
    enable: In(3)
    o: Out(signed(11))
    stored: Out(5)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.store = store = Memory(shape=5, depth=4, init=[1, 2, 3, 4])
        write, read = store.write_port(), store.read_port(domain="comb")
        m.submodules.lane = lane = Lane(index=0)
        m.d.comb += [
            lane.row.eq(self.a[:8] << 8 | self.b[:6]),
            lane.enable.eq(self.enable[0]),
            write.addr.eq(self.select),
            write.data.eq(self.a[2:7]),
            write.en.eq(self.enable[1:].all()),
            read.addr.eq(self.b),
        ]
        m.d.sync += self.stored.eq(read.data)
        with m.Switch(self.select):
            with m.Case(0):
                m.d.sync += self.o.eq(self.a + self.b)
            with m.Case(1):
                m.d.sync += self.o.eq(self.a - self.b)
            with m.Case("1-"):
                with m.If(self.a < self.b):
                    m.d.sync += self.o.eq(lane.o)
        return m


def netlist(design: wiring.Component) -> str:
    return rtlil.convert(design, name="top", emit_src=False)


def lanes() -> list[Block]:
    """The blocks of :class:`Lanes`: the top and each lane."""
    return cut(netlist(Lanes()), "top", lambda path: len(path) == 1)
