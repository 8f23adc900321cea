"""What a mover spends its cycles on."""

from enum import IntEnum

from amaranth.hdl import Module, Mux, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .port import activity

__all__ = ["ActivityMonitor", "Counted", "StallCause"]


class StallCause(IntEnum):
    """Why no beat moved; stands in the mover's STATUS register.

    ``NONE``: one did, or there is nothing to do. ``LOCK``: the next BD waits for its lock.
    ``STARVED``: nothing at the input. ``BLOCKED``: no room at the output. ``MEMORY``: a request was
    not granted. ``QUEUE``: the next BD waits for room in a side queue. ``SWITCH``: the mover at the
    other end of the stream has no BD for it.
    """

    NONE = 0
    LOCK = 1
    STARVED = 2
    BLOCKED = 3
    MEMORY = 4
    QUEUE = 5
    SWITCH = 6


class Counted(IntEnum):
    """What a mover counts a cycle as, see :class:`ActivityMonitor`; ``IDLE`` is not counted."""

    IDLE = 0
    ACTIVE = 1
    STARVED = 2
    BLOCKED = 3


class ActivityMonitor(wiring.Component):
    """Counters of a mover, and its present stall.

    What ``activity`` says in cycle t is counted, and named by ``stall``, from t+1 on. With v and r
    the stream's valid and ready: *active* is v & r; *starved* is busy & ~v; *blocked* is v & ~r,
    of a sink only while busy. Counters wrap at 32 bits; ``clear`` zeroes them and wins.

    Parameters
    ----------
    is_source
        Whether the mover gives its stream, or takes it.

    Members
    -------
    activity : :func:`~weft.hw.mover.port.activity`
    busy : 1
        A BD is loaded or in flight.
    held : 1
        The next BD waits for room in a side queue.
    locked : 1
        The next BD waits for its lock.
    apart : 1
        The stream waits for the mover at its other end.
    clear : 1
    active, starved, blocked, conflict : 32
        Cycles.
    accesses : 32
        Words or bus beats.
    stall : :class:`StallCause`
    """

    def __init__(self, *, is_source: bool) -> None:
        self._is_source = is_source
        super().__init__(
            {
                "activity": In(activity()),
                "busy": In(1),
                "held": In(1),
                "locked": In(1),
                "apart": In(1),
                "clear": In(1),
                "active": Out(32),
                "starved": Out(32),
                "blocked": Out(32),
                "conflict": Out(32),
                "accesses": Out(32),
                "stall": Out(StallCause),
            }
        )

    @property
    def is_source(self) -> bool:
        return self._is_source

    def counted(self) -> Value:
        """What this cycle is counted as, a :class:`Counted`: for those who watch cycle by cycle."""
        now = self.activity
        waits = Mux(self.busy, Counted.STARVED, Counted.IDLE)
        if self._is_source:
            waits = Mux(now.valid, Counted.BLOCKED, waits)
        else:
            waits = Mux(self.busy & now.valid, Counted.BLOCKED, waits)
        return Mux(now.valid & now.ready, Counted.ACTIVE, waits)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        now = self.activity
        with m.If(now.valid & now.ready):
            m.d.sync += [self.active.eq(self.active + 1), self.stall.eq(StallCause.NONE)]
        if self._is_source:
            with m.Elif(now.valid):
                m.d.sync += self.blocked.eq(self.blocked + 1)
                with m.If(self.apart):
                    m.d.sync += self.stall.eq(StallCause.SWITCH)
                with m.Else():
                    m.d.sync += self.stall.eq(StallCause.BLOCKED)
            with m.Elif(self.busy):
                m.d.sync += self.starved.eq(self.starved + 1)
                self._name(m, StallCause.STARVED)
        else:
            with m.Elif(self.busy & now.valid):
                m.d.sync += self.blocked.eq(self.blocked + 1)
                self._name(m, StallCause.BLOCKED)
            with m.Elif(self.busy):
                m.d.sync += self.starved.eq(self.starved + 1)
                self._name(m, StallCause.STARVED)
        with m.Else():
            m.d.sync += self.stall.eq(StallCause.NONE)
        with m.If(now.conflict):
            m.d.sync += self.conflict.eq(self.conflict + 1)
        with m.If(now.accesses.any()):
            m.d.sync += self.accesses.eq(self.accesses + now.accesses)
        counters = (self.active, self.starved, self.blocked, self.conflict, self.accesses)
        with m.If(self.clear):
            m.d.sync += [counter.eq(0) for counter in counters]
        return m

    def _name(self, m: Module, otherwise: StallCause) -> None:
        """Give the stall a cause further inside than `otherwise`, where there is one."""
        with m.If(self.activity.conflict):
            m.d.sync += self.stall.eq(StallCause.MEMORY)
        with m.Elif(self.locked):
            m.d.sync += self.stall.eq(StallCause.LOCK)
        with m.Elif(self.held):
            m.d.sync += self.stall.eq(StallCause.QUEUE)
        with m.Elif(self.apart):
            m.d.sync += self.stall.eq(StallCause.SWITCH)
        with m.Else():
            m.d.sync += self.stall.eq(otherwise)
