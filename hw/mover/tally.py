"""How many bytes each task has completed."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..bus.queue import Queue
from .port import progress

__all__ = ["TOTAL_BITS", "ByteTally", "tally_entry"]

TOTAL_BITS = 64


def tally_entry() -> data.StructLayout:
    """An execution: whether it ends its task, ``last``, whether the task's sum is then wanted,
    ``record``, and whether it is ``empty``, so that the port does not hear of it."""
    return data.StructLayout({"last": 1, "record": 1, "empty": 1})


class ByteTally(wiring.Component):
    """Adds up the bytes of each task and keeps the sums of those that are recorded.

    A port's progress has an order of its own: it may be ahead of the retirement, or, where a stream
    takes what has been read, behind it by as many executions as the port buffers beats. So each
    execution waits here for the end of its bytes.

    A sum is offered two cycles after the progress that completes it, and one later for every
    execution without rows that progress of others has caught up with.

    Parameters
    ----------
    in_flight
        Executions in flight.
    behind
        Beats that a port may hold of executions that have retired.

    Members
    -------
    i : stream of :func:`tally_entry`
        Every execution, in order, before its progress. There is room for all that can be under way,
        so ``ready`` is up as long as the port keeps to `behind`.
    progress : :func:`~weft.hw.mover.port.progress`
    flush : 1
        While nothing is on offer, let executions whose bytes have not come end with those that
        have; later ones are not counted. Only before a reset, while ``i`` rests.
    o : stream of TOTAL_BITS
        The sums of the tasks that are recorded, in order. While there is none and ``flush`` is set,
        and nothing waits here, that of the present task.
    """

    def __init__(self, *, in_flight: int, behind: int) -> None:
        self._in_flight = in_flight
        self._behind = behind
        super().__init__(
            {
                "i": In(stream.Signature(tally_entry())),
                "progress": In(progress()),
                "flush": In(1),
                "o": Out(stream.Signature(TOTAL_BITS)),
            }
        )

    @property
    def in_flight(self) -> int:
        return self._in_flight

    @property
    def behind(self) -> int:
        return self._behind

    def elaborate(self, platform: object) -> Module:
        m = Module()
        # An execution without rows stands here only where it ends a task of others, or is the one
        # that a record waits for: there are no more of them than of the others, but one.
        most = 2 * (self._in_flight + self._behind + 1)
        m.submodules.executions = executions = Queue(tally_entry(), depth=most)
        # They keep the steps behind them waiting, for a cycle each.
        m.submodules.steps = steps = Queue(progress(), depth=self._behind + 2)
        m.submodules.sums = sums = Queue(TOTAL_BITS, depth=self._in_flight + 1)

        begun = Signal()  # the task that comes in has an execution with rows
        given = self.i.payload
        m.d.comb += [
            self.i.ready.eq(executions.i.ready),
            executions.i.valid.eq(
                self.i.valid & (~given.empty | (given.last & (begun | given.record)))
            ),
            executions.i.payload.eq(given),
        ]
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += begun.eq(~given.last & (begun | ~given.empty))

        total, part = Signal(TOTAL_BITS), Signal(TOTAL_BITS)
        closed, over, flushes = Signal(), Signal(), Signal()
        head, now = executions.o.payload, steps.o.payload
        waits = executions.o.valid & head.empty
        m.d.comb += [
            steps.i.valid.eq(
                (self.progress.bytes.any() | self.progress.last) & ~(closed | flushes)
            ),
            steps.i.payload.eq(self.progress),
            steps.o.ready.eq(~waits),
            flushes.eq(self.flush & ~sums.o.valid & ~steps.o.valid),
            part.eq(total + Mux(steps.o.valid & steps.o.ready, now.bytes, 0)),
            over.eq(waits | (steps.o.valid & now.last) | flushes),
            executions.o.ready.eq(over),
            sums.i.valid.eq(executions.o.valid & over & head.last & head.record),
            sums.i.payload.eq(part),
            self.o.valid.eq(sums.o.valid | (flushes & ~executions.o.valid)),
            self.o.payload.eq(Mux(sums.o.valid, sums.o.payload, total)),
            sums.o.ready.eq(self.o.ready),
        ]
        m.d.sync += total.eq(Mux(executions.o.valid & over & head.last, 0, part))
        with m.If(flushes):
            m.d.sync += closed.eq(1)
        return m
