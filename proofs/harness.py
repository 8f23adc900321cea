"""What harnesses are made of: free inputs, and a look inside a design under proof.

A harness is a module around one small design. Its inputs are whatever the solver likes
(:func:`free`) within what an environment keeps to (``Assume``); what must hold is an ``Assert``.

For k-induction a harness also states what holds *between* the registers of the design, without
which the solver starts the induction step in states that are never reached. :func:`strengthen`
gives it those registers by the names that they have in the source. They are assertions like any
other, so a wrong one is found, not believed.
"""

import sys
from collections.abc import Callable
from types import FrameType, SimpleNamespace

from amaranth.asserts import AnyConst, AnySeq
from amaranth.hdl import Assert, Const, Module, Shape, Value
from amaranth.lib import wiring
from amaranth.lib.memory import Memory

__all__ = [
    "CLAIMS_ONLY",
    "Invariant",
    "always",
    "contents",
    "fixed",
    "free",
    "look",
    "strengthen",
    "total",
]

CLAIMS_ONLY = "formal-claims"
"""The ``platform`` of a harness that is elaborated without invariants."""

Invariant = Callable[[Module, SimpleNamespace], None]
"""Adds assertions to the elaborated module of a design, given the names inside it."""


def free(m: Module, *signals: object) -> None:
    """Let the solver choose the value of each of `signals` anew in every cycle."""
    for signal in signals:
        value = Value.cast(signal)
        m.d.comb += value.eq(AnySeq(len(value)))


def fixed(shape: object) -> Value:
    """A value that the solver chooses once."""
    return AnyConst(Shape.cast(shape))


def always(m: Module, condition: object, claim: str) -> None:
    """Assert `condition` in every cycle; `claim` is printed where it fails."""
    m.d.comb += Assert(condition, claim, src_loc_at=1)


def total(values: object) -> Value:
    """The sum of `values`: of the bits of a value, or of several values."""
    result: Value = Const(0, 1)
    for value in values:  # type: ignore[attr-defined]
        result = result + value
    return result


def contents(m: Module, storage: Memory) -> list[Value]:
    """Every row of `storage` as it is in this cycle."""
    rows = []
    for address in range(storage.depth):
        port = storage.read_port(domain="comb")
        m.d.comb += port.addr.eq(address)
        rows.append(Value.cast(port.data))
    return rows


def look(component: wiring.Component, claims: Invariant) -> None:
    """Call `claims` on what `component` elaborates to, with the local names of its methods.

    Parts of `component` are not elaborated at that time, so they can be looked into in turn, or
    have something else put in their place.
    """
    _extend(component, claims, always_there=True)


def strengthen(component: wiring.Component, invariant: Invariant) -> None:
    """As :func:`look`, but nothing is added where only the claims are searched for violations.

    A mutant must be caught by what is claimed of the design.
    """
    _extend(component, invariant, always_there=False)


def _extend(component: wiring.Component, addition: Invariant, *, always_there: bool) -> None:
    elaborate = component.elaborate

    def extended(platform: object) -> Module:
        if platform == CLAIMS_ONLY and not always_there:
            return elaborate(platform)
        inside = SimpleNamespace()

        def note(frame: FrameType, event: str, argument: object) -> None:
            if event == "return" and frame.f_locals.get("self") is component:
                vars(inside).update(frame.f_locals)

        before = sys.getprofile()
        sys.setprofile(note)
        try:
            module = elaborate(platform)
        finally:
            sys.setprofile(before)
        addition(module, inside)
        return module

    component.elaborate = extended
