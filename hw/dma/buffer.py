"""A FIFO for wide beats in block memory."""

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

__all__ = ["BeatBuffer"]


class BeatBuffer(wiring.Component):
    """First in, first out, `depth` payloads in a memory with a registered read.

    A payload accepted in cycle t is offered from cycle t+2; one payload a cycle passes. The output
    register holds one payload more. ``i.ready`` depends on registers only; ``o.ready`` reaches the
    read enable.

    Parameters
    ----------
    shape
        Shape of a payload.
    depth
        Payloads held in the memory, at least 1.

    Members
    -------
    i, o : stream of `shape`

    Attributes
    ----------
    held : `range(depth + 1)`
        Payloads in the memory.
    """

    def __init__(self, shape: object, *, depth: int) -> None:
        if depth < 1:
            raise ValueError(f"a buffer holds at least 1 payload, not {depth}")
        self._shape = shape
        self._depth = depth
        super().__init__({"i": In(stream.Signature(shape)), "o": Out(stream.Signature(shape))})
        self.held = Signal(range(depth + 1))

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
        read_port = storage.read_port()
        held = self.held

        def following(pointer: Signal) -> Value:
            return Mux(pointer == self._depth - 1, 0, pointer + 1)

        push = self.i.valid & self.i.ready
        fetch = Signal()
        m.d.comb += [
            self.i.ready.eq(held != self._depth),
            fetch.eq((held != 0) & (~self.o.valid | self.o.ready)),
            write_port.data.eq(self.i.payload),
            write_port.en.eq(push),
            read_port.en.eq(fetch),
            self.o.payload.eq(read_port.data),
        ]
        with m.If(push):
            m.d.sync += write_port.addr.eq(following(write_port.addr))
        with m.If(fetch):
            m.d.sync += [self.o.valid.eq(1), read_port.addr.eq(following(read_port.addr))]
        with m.Elif(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        with m.If(push & ~fetch):
            m.d.sync += held.eq(held + 1)
        with m.Elif(fetch & ~push):
            m.d.sync += held.eq(held - 1)
        return m
