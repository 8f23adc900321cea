"""The abort of some movers while the others go on."""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["CALM_CYCLES", "AbortControl"]

CALM_CYCLES = 16
"""A mover that is told to stop is idle when it has been so for as many cycles in a row: more than
any pipeline from a row to its request, and from a response to its retirement, has stages."""


class AbortControl(wiring.Component):
    """Brings movers to a stop, resets them together, and waits until nothing of them is left.

    A mover in ``asked`` drains: it raises no burst and takes no push, and neither gives its memory
    a new word. When all of them have been idle for :data:`CALM_CYCLES` cycles, ``abort`` is high
    for one cycle for each, in the second cycle after. What they had finished until then still
    releases its locks and retires; when that is over, ``over`` is high for them in one cycle, a
    cycle later, and ``asked`` shall fall in the next.
    A mover that is added to ``asked`` joins those that drain, or waits for those that were reset.

    So both ends of a stream that are aborted together lose the same beats.

    Parameters
    ----------
    movers
        How many there are.

    Members
    -------
    asked : a bit for each mover
        To be aborted; stays up until ``over``.
    idle : a bit for each mover
        Nothing of it is under way in memory, and all that has finished has retired.
    abort : a bit for each mover
        Pulse: resets them.
    over : a bit for each mover
        Pulse.
    """

    def __init__(self, *, movers: int) -> None:
        self._movers = movers
        super().__init__(
            {"asked": In(movers), "idle": In(movers), "abort": Out(movers), "over": Out(movers)}
        )

    @property
    def movers(self) -> int:
        return self._movers

    def elaborate(self, platform: object) -> Module:
        m = Module()
        known, stopped = Signal(self._movers), Signal(self._movers)
        # Who is idle is known late in a cycle, and far away.
        idle, pulsed = Signal(self._movers), Signal()
        calm = Signal(range(CALM_CYCLES))
        m.d.sync += [known.eq(self.asked), self.abort.eq(0), calm.eq(0)]
        m.d.sync += [idle.eq(self.idle), pulsed.eq(self.abort.any())]
        with m.If(stopped.any()):
            # A mover that is reset shows it a cycle later, and here a cycle after that.
            with m.If(~self.abort.any() & ~pulsed & ~(stopped & ~idle).any()):
                m.d.comb += self.over.eq(stopped)
                m.d.sync += stopped.eq(0)
        with m.Elif(self.asked.any() & (self.asked == known) & ~(self.asked & ~idle).any()):
            m.d.sync += calm.eq(calm + 1)
            with m.If(calm == CALM_CYCLES - 1):
                m.d.sync += [self.abort.eq(self.asked), stopped.eq(self.asked)]
        return m
