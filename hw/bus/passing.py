"""A FIFO that an only payload goes past."""

from amaranth.hdl import Module, Mux
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from .queue import Queue

__all__ = ["PassingQueue"]


class PassingQueue(wiring.Component):
    """A :class:`~weft.hw.bus.queue.Queue` whose payload is offered in the cycle in which it comes.

    While the queue is empty ``o`` is ``i``, combinationally; a payload that is taken then is never
    stored. ``i.ready`` depends on registers only, and so does ``o`` while the queue is not empty.

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
    head : `shape`
        The oldest of them; undefined if there is none.
    """

    def __init__(self, shape: object, *, depth: int) -> None:
        self._queue = Queue(shape, depth=depth)
        super().__init__(
            {
                "i": In(stream.Signature(shape)),
                "o": Out(stream.Signature(shape)),
                "level": Out(range(depth + 1)),
                "head": Out(shape),
            }
        )

    @property
    def shape(self) -> object:
        return self._queue.shape

    @property
    def depth(self) -> int:
        return self._queue.depth

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.queue = queue = self._queue
        waits = queue.o.valid
        m.d.comb += [
            self.i.ready.eq(queue.i.ready),
            queue.i.valid.eq(self.i.valid & (waits | ~self.o.ready)),
            queue.i.payload.eq(self.i.payload),
            self.o.valid.eq(waits | self.i.valid),
            self.o.payload.eq(Mux(waits, queue.o.payload, self.i.payload)),
            queue.o.ready.eq(self.o.ready),
            self.level.eq(queue.level),
            self.head.eq(queue.o.payload),
        ]
        return m
