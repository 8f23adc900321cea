"""Results of BDs that come some cycles after their last beat."""

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ...bus.queue import Queue

__all__ = ["ResultQueue"]


class ResultQueue(wiring.Component):
    """A queue in which each place is reserved before its payload comes.

    So the pipeline in between needs no way to stall: ``i`` is always ready. A result given in cycle
    t is offered from t+1. While ``room`` is up it stays so until ``reserve``: a stream that passes
    with ``room`` keeps its valid.

    Parameters
    ----------
    shape
        Shape of a result.
    depth
        Results that may be reserved and not taken, at least 1.

    Members
    -------
    reserve : 1
        A result is going to come. Only with ``room``.
    room : 1
        A register.
    i, o : stream of `shape`
        As many on ``i`` as were reserved, in later cycles.
    """

    def __init__(self, shape: object, *, depth: int) -> None:
        self._shape = shape
        self._depth = depth
        super().__init__(
            {
                "reserve": In(1),
                "room": Out(1, init=1),
                "i": In(stream.Signature(shape, always_ready=True)),
                "o": Out(stream.Signature(shape)),
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
        m.submodules.queue = queue = Queue(self._shape, depth=self._depth)
        reserved = Signal(range(self._depth + 1))
        taken = self.o.valid & self.o.ready
        m.d.comb += [
            queue.i.valid.eq(self.i.valid),
            queue.i.payload.eq(self.i.payload),
            self.o.valid.eq(queue.o.valid),
            self.o.payload.eq(queue.o.payload),
            queue.o.ready.eq(self.o.ready),
        ]
        with m.If(self.reserve & ~taken):
            m.d.sync += [
                reserved.eq(reserved + 1),
                self.room.eq(reserved != self._depth - 1),
            ]
        with m.Elif(taken & ~self.reserve):
            m.d.sync += [reserved.eq(reserved - 1), self.room.eq(1)]
        return m
