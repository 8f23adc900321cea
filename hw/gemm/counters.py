"""The array's performance counters."""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .feeder import WAITS, step_activity

__all__ = ["COUNTERS", "Counters"]

COUNTERS = ("active", "steps", "bubbles", *WAITS)


class Counters(wiring.Component):
    """Sums up what the array did.

    A *stretch* is a maximal run of busy cycles: from a step to the giving of the last result that
    is due, a step in that very cycle carrying on. The activity of cycle t is in the counters from
    t+2 on when it is registered in t+1. Counters are modulo 2**32.

    Members
    -------
    activity : :func:`~weft.hw.gemm.feeder.step_activity`
    clear : 1
        All counters are 0 in the next cycle; the activity that is here with it is forgotten.
    active : 32
        Cycles of stretches.
    steps : 32
        Steps taken.
    bubbles : 32
        Cycles without a step between two steps of a stretch.
    starved_a, starved_b, starved_c, blocked_d, blocked_e, starved_s : 32
        Cycles in which a step was wanted and waited for this.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "activity": In(step_activity()),
                "clear": In(1),
                **{name: Out(32) for name in COUNTERS},
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        # Cycles since the last step of the stretch: bubbles, if another step follows.
        gap = Signal(32)
        with m.If(self.activity.busy):
            m.d.sync += self.active.eq(self.active + 1)
            with m.If(self.activity.step):
                m.d.sync += [
                    self.steps.eq(self.steps + 1),
                    self.bubbles.eq(self.bubbles + gap),
                    gap.eq(0),
                ]
            with m.Else():
                m.d.sync += gap.eq(gap + 1)
        with m.Else():
            m.d.sync += gap.eq(0)
        for name in WAITS:
            counter = getattr(self, name)
            with m.If(self.activity[name]):
                m.d.sync += counter.eq(counter + 1)
        with m.If(self.clear):
            m.d.sync += [getattr(self, name).eq(0) for name in COUNTERS]
            m.d.sync += gap.eq(0)
        return m
