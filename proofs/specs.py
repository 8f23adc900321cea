"""Rules that many designs keep, as components that watch their ports."""

from collections.abc import Callable
from typing import Any

from amaranth.hdl import Assert, Assume, Cat, Module, Mux, Signal, Value
from amaranth.lib import wiring

from .harness import always, free, total

__all__ = ["Circle", "Foretold", "Steady", "Witness"]


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


class Foretold(wiring.Component):
    """A requester of the scratchpad shows what it has told a cycle ahead.

    Parameters
    ----------
    port
        Its memory port, of a scratchpad that ``looks_ahead``.
    rule
        ``Assert`` for an output of the design, ``Assume`` for an input.
    """

    def __init__(self, port: Any, *, rule: Callable[..., Any] = Assert) -> None:
        self._port = port
        self._rule = rule
        super().__init__({})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        request, following = self._port.req, self._port.following
        moved, told = Signal(init=1), Signal.like(following)
        m.d.sync += [moved.eq(~request.valid | request.ready), told.eq(following)]
        same_bank = ~request.valid | (request.payload.bank == told.bank)
        with m.If(moved):
            if self._rule is Assume:
                m.d.comb += Assume((request.valid == told.valid) & same_bank)
            else:
                always(m, request.valid == told.valid, "a request comes if it was told")
                always(m, same_bank, "it is for the bank that was told")
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


class Circle(wiring.Component):
    """A fair arbiter serves each seat after every other seat once at most.

    Parameters
    ----------
    asking
        A bit for each seat: it asks.
    grant
        A bit for each seat: it is granted.
    turn
        One of `asking` is served in this cycle, if anyone asks.

    Attributes
    ----------
    waits
        For each seat: how often in a row it has asked and another was served.
    """

    def __init__(self, *, asking: Value, grant: Value, turn: Value) -> None:
        self._asking = asking
        self._grant = grant
        self._turn = turn
        super().__init__({})
        seats = range(len(asking))
        self.waits = [Signal(range(len(asking) + 1), name=f"wait_{seat}") for seat in seats]

    def elaborate(self, platform: object) -> Module:
        m = Module()
        for seat, wait in enumerate(self.waits):
            with m.If(~self._asking[seat] | (self._grant[seat] & self._turn)):
                m.d.sync += wait.eq(0)
            with m.Elif(self._turn):
                m.d.sync += wait.eq(wait + 1)
            always(m, wait < len(self.waits), "nobody waits for anyone twice")
        return m

    def invariant(self, m: Module, after: Value) -> None:
        """`after` is the arbiter's register: the seats above the last winner."""
        for seat, wait in enumerate(self.waits):
            before_it = Mux(after[seat], total(after[:seat]), total(after) + seat)
            always(m, wait + before_it < len(self.waits), "who waited has fewer before it")
            if seat + 1 < len(self.waits):
                always(m, ~after[seat] | after[seat + 1], "all seats above the last winner")
