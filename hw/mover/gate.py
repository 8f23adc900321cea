"""Where an execution waits for its lock."""

from amaranth.hdl import Module
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .locks import lock_acquire

__all__ = ["AcquireGate"]


class AcquireGate(wiring.Component):
    """Holds the rows of an execution until its lock is acquired.

    ``load`` comes in the cycle in which the last row of the execution before has gone, or there is
    none; from the next cycle on the request is raised on ``acquire``, and rows pass in the cycle
    in which it is granted: a free lock costs no cycle. It costs one if ``wanted`` was something
    else in the cycle before ``load``, or the gate waited then: the payload of a request stands a
    cycle before it is raised. Rows pass combinationally.

    Parameters
    ----------
    row
        Shape of a row.

    Members
    -------
    load : 1
        The next execution needs the lock that ``wanted`` says. Not while one is waited for.
    wanted : :func:`~weft.hw.mover.locks.lock_acquire`
    early : 1
        While set, the request is not raised in the next cycle.
    open : 1
        While clear, no row passes.
    i, o : stream of `row`
    acquire : stream of :func:`~weft.hw.mover.locks.lock_acquire`
        ``valid`` and ``payload`` are registers.
    waits : 1
        A lock is waited for; a register.
    passes : 1
        None is, or it is granted now.
    """

    def __init__(self, *, row: data.StructLayout) -> None:
        self._row = row
        super().__init__(
            {
                "load": In(1),
                "wanted": In(lock_acquire()),
                "early": In(1),
                "open": In(1),
                "i": In(stream.Signature(row)),
                "o": Out(stream.Signature(row)),
                "acquire": Out(stream.Signature(lock_acquire())),
                "waits": Out(1),
                "passes": Out(1),
            }
        )

    @property
    def row(self) -> data.StructLayout:
        return self._row

    def elaborate(self, platform: object) -> Module:
        m = Module()
        granted = self.acquire.valid & self.acquire.ready
        m.d.comb += [
            self.passes.eq(~self.waits | granted),
            self.o.valid.eq(self.i.valid & self.open & self.passes),
            self.o.payload.eq(self.i.payload),
            self.i.ready.eq(self.o.ready & self.open & self.passes),
        ]
        with m.If(self.passes):
            m.d.sync += self.acquire.payload.eq(self.wanted)
        stands = self.acquire.payload == self.wanted
        with m.If(self.load):
            m.d.sync += [self.waits.eq(1), self.acquire.valid.eq(stands & ~self.early)]
        with m.Elif(granted):
            m.d.sync += [self.waits.eq(0), self.acquire.valid.eq(0)]
        with m.Else():
            m.d.sync += self.acquire.valid.eq(self.waits & ~self.early)
        return m
