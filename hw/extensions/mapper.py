"""One beat for each: what operators that look at a beat alone have in common."""

from abc import abstractmethod

from amaranth.hdl import Module, Value

from .extension import Extension

__all__ = ["Mapper"]


class Mapper(Extension):
    """Changes the data of every beat; mark, end and error stay with it. Combinational."""

    @abstractmethod
    def changed(self, m: Module, content: Value) -> Value:
        """What becomes of a beat's data."""

    def elaborate(self, platform: object) -> Module:
        m = Module()
        given, result = self.i.payload, self.o.payload
        m.d.comb += [
            self.o.valid.eq(self.i.valid),
            self.i.ready.eq(self.o.ready),
            result.data.eq(self.changed(m, given.data)),
            result.mark.eq(given.mark),
            result.end.eq(given.end),
            result.error.eq(given.error),
        ]
        return m
