"""One beat for many: what operators that sum up a marked group have in common."""

from abc import abstractmethod

from amaranth.hdl import Module, Mux, Signal, Value

from .extension import Extension

__all__ = ["Reducer"]


class Reducer(Extension):
    """Combines the beats of each marked group, from one mark to the next, into one.

    It is given with the last of them, combinationally, and has its mark and its end; ``error`` is
    that of any of them. The others are taken one a cycle, whatever ``o.ready`` is.
    """

    cut = True

    @abstractmethod
    def combine(self, m: Module, so_far: Value, given: Value) -> Value:
        """Data of the beats up to this one."""

    def elaborate(self, platform: object) -> Module:
        m = Module()
        given, result = self.i.payload, self.o.payload
        begun, spoilt = Signal(), Signal()
        so_far = Signal(self._width, reset_less=True)
        last = Signal()
        m.d.comb += [
            last.eq(given.mark | given.end),
            self.o.valid.eq(self.i.valid & last),
            self.i.ready.eq(self.o.ready | ~last),
            result.data.eq(Mux(begun, self.combine(m, so_far, given.data), given.data)),
            result.mark.eq(given.mark),
            result.end.eq(given.end),
            result.error.eq(given.error | (begun & spoilt)),
        ]
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [begun.eq(~last), so_far.eq(result.data), spoilt.eq(result.error)]
        return m
