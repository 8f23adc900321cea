"""Joining in the DMA: runs that continue one another become one, byte for byte."""

from types import SimpleNamespace
from typing import Any

from amaranth.hdl import Assume, Cat, Module, Mux, Signal, Value

from weft.hw.dma.joiner import RunJoiner

from .harness import always, free, strengthen
from .proof import Mutant, Proof
from .specs import Steady

__all__ = ["PROOFS"]

ADDRESS_BITS = 6
SPAN = 4
SPAN_BITS = 2
LONGEST = 8
"""A run is shorter."""

COUNT_BITS = 5


def length(run: Any) -> Value:
    return (run.low + run.size + run.high)[:COUNT_BITS]


def byte(run: Any, index: Value) -> Value:
    """What there is to know of byte `index` of `run`: if it exists where, else its pad; its end."""
    exists = (index >= run.low) & (index < run.low + run.size)
    place = (run.address + index - run.low)[:ADDRESS_BITS]
    return Cat(exists, Mux(exists, place, run.pad), run.end & (index + 1 == length(run)))


def goes_on(before: Any, run: Any) -> Value:
    """`run` begins where `before` ends, and nothing clipped is between them."""
    whole = (before.size != 0) & (before.high == 0) & ~before.end
    return whole & (run.size != 0) & (run.low == 0) & (run.address == before.after)


def joiner_harness(design: Any) -> Module:
    m = Module()
    m.submodules.joiner = joiner = design(address_bits=ADDRESS_BITS, span=SPAN)
    run, joined = joiner.i.payload, joiner.o.payload
    free(m, joiner.i.valid, run, joiner.o.ready)
    m.submodules.given = Steady(joiner.i, rule=Assume)
    m.submodules.steady = Steady(joiner.o)
    m.d.comb += [
        Assume((length(run) != 0) & (length(run) < LONGEST)),
        *(Assume(part < LONGEST) for part in (run.low, run.size, run.high)),
        Assume(run.exists == (run.size != 0)),
        Assume(run.after == (run.address + run.size)[:ADDRESS_BITS]),
    ]
    push, pop = joiner.i.valid & joiner.i.ready, joiner.o.valid & joiner.o.ready
    # A BD has one pad.
    begun, pad = Signal(), Signal(8)
    with m.If(push):
        m.d.sync += [begun.eq(~run.end), pad.eq(run.pad)]
    m.d.comb += Assume(~(begun & joiner.i.valid) | (run.pad == pad))

    # Bytes that are inside, and one of them, any, as it came: how many leave before it.
    pending, ahead = Signal(COUNT_BITS), Signal(COUNT_BITS)
    chosen, index = Signal(), Signal(range(LONGEST))
    watching, noted = Signal(), Signal(len(byte(run, index)))
    free(m, chosen, index)
    came = Mux(push, length(run), 0)
    m.d.sync += pending.eq(pending + came - Mux(pop, length(joined), 0))
    notes = ~watching & chosen & push & (index < length(run))
    now_ahead, now_noted = Signal(COUNT_BITS), Signal.like(noted)
    m.d.comb += [
        now_ahead.eq(Mux(watching, ahead, pending + index)),
        now_noted.eq(Mux(watching, noted, byte(run, index))),
    ]
    leaves = pop & (now_ahead < length(joined))
    m.d.sync += [
        watching.eq((watching | notes) & ~leaves),
        ahead.eq(now_ahead - Mux(pop, length(joined), 0)),
        noted.eq(now_noted),
    ]
    with m.If((watching | notes) & leaves):
        always(m, byte(joined, now_ahead) == now_noted, "bytes leave in order, unaltered")
    always(m, ~watching | (ahead < pending), "no byte is lost")
    with m.If(joiner.o.valid):
        always(m, length(joined) <= pending + Mux(joiner.i.valid, length(run), 0), "none is added")
        always(m, joined.exists == (joined.size != 0), "a run exists as its bytes do")
        after = (joined.address + joined.size)[:ADDRESS_BITS]
        always(m, ~joined.exists | (joined.after == after), "after its last byte")

    # What has gone, and what could have been joined to it.
    gone, any_gone = Signal(joined.shape()), Signal()
    with m.If(pop):
        m.d.sync += [gone.eq(joined), any_gone.eq(1)]
    with m.If(joiner.o.valid & any_gone & goes_on(gone, joined)):
        always(m, gone.after[:SPAN_BITS] == 0, "what continues a run is cut off at a span only")

    def invariant(inner: Module, inside: SimpleNamespace) -> None:
        held, holding = inside.held, inside.holding
        always(inner, pending == Mux(holding, length(held), 0), "what is inside is held")
        always(inner, ~inside.whole | holding, "what is continued is held")
        always(inner, begun == (holding & ~held.end), "what is held is of the BD")
        with inner.If(holding):
            always(inner, inside.whole == goes_on(held, as_if(held)), "whether it may go on")
            always(inner, ~inside.whole | (inside.before == held.after), "and where")
            always(inner, held.exists == (held.size != 0), "it exists as its bytes do")
            after = (held.address + held.size)[:ADDRESS_BITS]
            always(inner, ~held.exists | (held.after == after), "its end")
            across = held.address[SPAN_BITS:] != held.after[SPAN_BITS:]
            always(inner, ~held.exists | (inside.reached == across), "it has come to a span")
            always(inner, length(held) < 2 * LONGEST + SPAN, "no longer than two rows and a rest")
            for part, most in ((held.low, 0), (held.size, SPAN), (held.high, 0)):
                always(inner, part < LONGEST + most, "nor is a part of it longer than one")
            always(inner, held.pad == pad, "its pad")
            continues = any_gone & goes_on(gone, held)
            always(inner, ~continues | (gone.after[:SPAN_BITS] == 0), "cut off at a span only")
            with inner.If(watching):
                always(inner, byte(held, ahead) == noted, "the noted byte is in its place")
        with inner.Else():
            always(inner, ~any_gone | gone.end, "what went last has ended its BD")

    strengthen(joiner, invariant)
    return m


def as_if(run: Any) -> Any:
    """A run that begins where `run` ends."""
    return SimpleNamespace(size=Value.cast(1), low=Value.cast(0), address=run.after)


PROOFS = (
    Proof(
        name="joiner",
        design=RunJoiner,
        claim="every byte leaves once, in order, at its address or clipped with its pad; `end` "
        "is with the BD's last byte; what continues a run is cut off from it at a multiple of the "
        "span only; payload and valid hold while stalled",
        size=f"a span of {SPAN} bytes, {ADDRESS_BITS}-bit addresses, runs below {LONGEST}",
        harness=joiner_harness,
        depth=2,
        reach=5,
        mutants=(
            Mutant(
                flaw="joins over clipped bytes",
                old="whole & given.exists & (given.low == 0) & (given.address == before)",
                new="whole & given.exists & (given.address == before)",
            ),
            Mutant(
                flaw="joins a BD to the next",
                old="given.exists & (given.high == 0) & ~given.end",
                new="given.exists & (given.high == 0)",
            ),
            Mutant(
                flaw="keeps all of a run that is cut",
                old="rest.eq(Mux(reached, held.after, held.size))",
                new="rest.eq(held.size)",
            ),
            Mutant(
                flaw="forgets what is clipped behind the last run",
                old="                    held.high.eq(run.high),\n",
                new="",
            ),
            Mutant(
                flaw="takes the next run while the one before is stalled",
                old="linked.ready.eq(~holding | self.o.ready | (joins & ~reached))",
                new="linked.ready.eq(~holding | self.o.ready | joins)",
            ),
            Mutant(
                flaw="joins none",
                old="joins.eq(linked.valid & linked.payload.continues)",
                new="joins.eq(0)",
            ),
        ),
    ),
)
