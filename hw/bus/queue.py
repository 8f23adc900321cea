"""A FIFO of any shape with stream ports."""

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

__all__ = ["Queue"]


class Queue(wiring.Component):
    """First in, first out, up to `depth` payloads of any shape.

    A payload accepted in cycle t is offered from cycle t+1. Neither ``i.ready`` nor ``o.valid``
    depends on the other side in the same cycle, so a queue cuts every combinational handshake path;
    one payload a cycle passes at any depth of 2 or more. ``o.payload`` is an asynchronous read
    (LUTRAM); it does not change while stalled.

    Parameters
    ----------
    shape
        Shape of a payload.
    depth
        Payloads held, at least 1.

    Members
    -------
    i, o : stream of `shape`
    level : `range(depth + 1)`
        Payloads held.
    """

    def __init__(self, shape: object, *, depth: int) -> None:
        if depth < 1:
            raise ValueError(f"a queue holds at least 1 payload, not {depth}")
        self._shape = shape
        self._depth = depth
        super().__init__(
            {
                "i": In(stream.Signature(shape)),
                "o": Out(stream.Signature(shape)),
                "level": Out(range(depth + 1)),
            }
        )

    @property
    def shape(self) -> object:
        return self._shape

    @property
    def depth(self) -> int:
        return self._depth

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.storage = storage = Memory(shape=self._shape, depth=self._depth, init=[])
        write_port = storage.write_port()
        read_port = storage.read_port(domain="comb")

        def following(pointer: Signal) -> Value:
            if self._depth & (self._depth - 1) == 0:
                return pointer + 1
            return Mux(pointer == self._depth - 1, 0, pointer + 1)

        push = self.i.valid & self.i.ready
        pop = self.o.valid & self.o.ready
        m.d.comb += [
            self.i.ready.eq(self.level != self._depth),
            self.o.valid.eq(self.level != 0),
            write_port.data.eq(self.i.payload),
            write_port.en.eq(push),
            self.o.payload.eq(read_port.data),
        ]
        with m.If(push):
            m.d.sync += write_port.addr.eq(following(write_port.addr))
        with m.If(pop):
            m.d.sync += read_port.addr.eq(following(read_port.addr))
        with m.If(push & ~pop):
            m.d.sync += self.level.eq(self.level + 1)
        with m.Elif(pop & ~push):
            m.d.sync += self.level.eq(self.level - 1)
        return m
