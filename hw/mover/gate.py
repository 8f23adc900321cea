"""Where an execution waits for its lock."""

from amaranth.hdl import Module
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .locks import lock_acquire

__all__ = ["AcquireGate"]


class AcquireGate(wiring.Component):
    """Holds the rows of an execution until its lock is acquired.

    ``load`` comes in the cycle in which the last row of the execution before has gone, or there is
    none; from the next cycle on the request stands on ``acquire``, and rows pass in the cycle in
    which it is granted: a free lock costs no cycle. Rows pass combinationally.

    Parameters
    ----------
    row
        Shape of a row.

    Members
    -------
    load : 1
        The next execution needs the lock that ``wanted`` says. Not while one is waited for.
    wanted : :func:`~weft.hw.mover.locks.lock_acquire`
    i, o : stream of `row`
    acquire : stream of :func:`~weft.hw.mover.locks.lock_acquire`
        ``valid`` and ``payload`` are registers.
    """

    def __init__(self, *, row: data.StructLayout) -> None:
        self._row = row
        super().__init__(
            {
                "load": In(1),
                "wanted": In(lock_acquire()),
                "i": In(stream.Signature(row)),
                "o": Out(stream.Signature(row)),
                "acquire": Out(stream.Signature(lock_acquire())),
            }
        )

    @property
    def row(self) -> data.StructLayout:
        return self._row

    def elaborate(self, platform: object) -> Module:
        m = Module()
        passes = ~self.acquire.valid | self.acquire.ready
        m.d.comb += [
            self.o.valid.eq(self.i.valid & passes),
            self.o.payload.eq(self.i.payload),
            self.i.ready.eq(self.o.ready & passes),
        ]
        with m.If(self.load):
            m.d.sync += [self.acquire.valid.eq(1), self.acquire.payload.eq(self.wanted)]
        with m.Elif(self.acquire.ready):
            m.d.sync += self.acquire.valid.eq(0)
        return m
