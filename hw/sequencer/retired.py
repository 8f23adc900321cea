"""How many tasks each mover has retired since a program began."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

__all__ = ["RetiredSince"]


class RetiredSince(wiring.Component):
    """Counts of retired tasks, less what they were after ``begin``.

    ``begin`` in cycle t keeps the count of mover i as it stands in t+1+i, in a memory; ``ready``
    falls in t+1 and is high again from t+`movers`+2 on. While it is, ``count`` is that of the mover
    whose page was ``target`` in the cycle before, as it was then: what waits for a count to be
    reached may be told a cycle late, and never too early. Differences are modulo 2**32.

    Parameters
    ----------
    movers
        Their number.

    Members
    -------
    retired : array of 32 bits
    begin : 1
    ready : 1
    target : 8
        Page of a mover, that is its index plus 1.
    count : 32
    """

    def __init__(self, *, movers: int) -> None:
        self._movers = movers
        super().__init__(
            {
                "retired": In(32).array(movers),
                "begin": In(1),
                "ready": Out(1, init=1),
                "target": In(8),
                "count": Out(32),
            }
        )

    @property
    def movers(self) -> int:
        return self._movers

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.kept = kept = Memory(shape=32, depth=self._movers, init=[])
        write_port = kept.write_port()
        read_port = kept.read_port(domain="comb")
        keeping = Signal()
        index = Signal(range(self._movers))
        mover, present = Signal.like(index), Signal(32)
        m.d.comb += mover.eq(Mux(keeping, index, self.target - 1))
        with m.Switch(mover):
            for number, retired in enumerate(self.retired):
                with m.Case(number):
                    m.d.comb += present.eq(retired)
        m.d.comb += [
            write_port.en.eq(keeping),
            write_port.addr.eq(index),
            write_port.data.eq(present),
            read_port.addr.eq(mover),
        ]
        now, before = Signal(32), Signal(32)
        m.d.sync += [now.eq(present), before.eq(read_port.data), self.ready.eq(~keeping)]
        m.d.comb += self.count.eq(now - before)
        with m.If(self.begin):
            m.d.sync += [keeping.eq(1), index.eq(0), self.ready.eq(0)]
        with m.Elif(keeping):
            m.d.sync += index.eq(index + 1)
            with m.If(index == self._movers - 1):
                m.d.sync += keeping.eq(0)
        return m
