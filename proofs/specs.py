"""Rules that many designs keep, as components that watch their ports."""

from collections.abc import Callable
from typing import Any

from amaranth.hdl import Assert, Assume, Cat, Module, Signal, Value
from amaranth.lib import wiring

from .harness import always, free

__all__ = ["Steady", "Witness"]


class Steady(wiring.Component):
    """A stalled stream keeps ``valid`` and ``payload`` until it is taken.

    Parameters
    ----------
    stream
        What is watched.
    rule
        ``Assert`` for an output of the design, ``Assume`` for an input.
    """

    def __init__(self, stream: Any, *, rule: Callable[..., Any] = Assert) -> None:
        self._stream = stream
        self._rule = rule
        super().__init__({})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        valid, ready = self._stream.valid, self._stream.ready
        payload = Value.cast(self._stream.payload)
        stalled = Signal()
        before = Signal(len(payload))
        m.d.sync += [stalled.eq(valid & ~ready), before.eq(payload)]
        with m.If(stalled):
            if self._rule is Assume:
                m.d.comb += Assume(Cat(valid, payload == before).all())
            else:
                always(m, valid, "valid stays while stalled")
                always(m, payload == before, "the payload stays while stalled")
        return m


class Witness(wiring.Component):
    """Follows one payload, any, through what must be a FIFO.

    At a moment of the solver's choice it notes the payload that enters and how many are before it.
    That many must leave, and then this one: in order, none lost, none doubled, none altered.

    Parameters
    ----------
    push, pop
        A payload enters, leaves.
    entering, leaving
        What does.
    level
        Payloads held; what is popped in this cycle still counts.

    Attributes
    ----------
    watching : 1
        The noted payload is inside.
    ahead
        Payloads that leave before it.
    value
        The payload.
    """

    def __init__(
        self, *, push: Value, entering: Value, pop: Value, leaving: Value, level: Value
    ) -> None:
        self._push = push
        self._entering = Value.cast(entering)
        self._pop = pop
        self._leaving = Value.cast(leaving)
        self._level = level
        super().__init__({})
        self.watching = Signal()
        self.ahead = Signal(len(level))
        self.value = Signal(len(self._entering))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        chosen = Signal()
        free(m, chosen)
        with m.If(self.watching):
            always(m, self.ahead < self._level, "no payload is lost")
            with m.If(self._pop):
                m.d.sync += self.ahead.eq(self.ahead - 1)
                with m.If(self.ahead == 0):
                    always(m, self._leaving == self.value, "payloads leave in order, unaltered")
                    m.d.sync += self.watching.eq(0)
        with m.Elif(chosen & self._push):
            m.d.sync += [
                self.watching.eq(1),
                self.ahead.eq(self._level - self._pop),
                self.value.eq(self._entering),
            ]
        return m
