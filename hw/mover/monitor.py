"""What a mover spends its cycles on."""

from enum import IntEnum

from amaranth.hdl import Module, Mux, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .port import ACTIVITY_BITS, activity

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
    """What a mover's counters are to count, and its present stall.

    What ``activity`` says in cycle t is told in that cycle, and named by ``stall`` from t+1 on.
    With v and r the stream's valid and ready: *active* is v & r; *starved* is busy & ~v; *blocked*
    is v & ~r, of a sink only while busy.

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
    active, starved, blocked, conflict : 1
        This cycle is one.
    accesses : ACTIVITY_BITS
        Words or bus beats in it.
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
                "active": Out(1),
                "starved": Out(1),
                "blocked": Out(1),
                "conflict": Out(1),
                "accesses": Out(ACTIVITY_BITS),
                "stall": Out(StallCause),
            }
        )

    @property
    def is_source(self) -> bool:
        return self._is_source

    def counted(self) -> Value:
        """What this cycle is counted as, a :class:`Counted`: for those who watch cycle by cycle."""
        waits = Mux(self.starved, Counted.STARVED, Counted.IDLE)
        moves = Mux(self.active, Counted.ACTIVE, waits)
        return Mux(self.blocked, Counted.BLOCKED, moves)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        now = self.activity
        m.d.comb += [
            self.active.eq(now.valid & now.ready),
            self.starved.eq(self.busy & ~now.valid),
            self.blocked.eq(now.valid & ~now.ready & (self._is_source | self.busy)),
            self.conflict.eq(now.conflict),
            self.accesses.eq(now.accesses),
        ]
        with m.If(self.blocked & self._is_source):
            with m.If(self.apart):
                m.d.sync += self.stall.eq(StallCause.SWITCH)
            with m.Else():
                m.d.sync += self.stall.eq(StallCause.BLOCKED)
        with m.Elif(self.blocked):
            self._name(m, StallCause.BLOCKED)
        with m.Elif(self.starved):
            self._name(m, StallCause.STARVED)
        with m.Else():
            m.d.sync += self.stall.eq(StallCause.NONE)
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
