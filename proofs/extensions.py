"""A chain of extensions: beats in order, each as the settings of its own BD say."""

from types import SimpleNamespace
from typing import Any

from amaranth.hdl import Assume, Cat, Module, Mux, Signal, Value

from weft.hw.bus.streams import compute_beat
from weft.hw.extensions.chain import Chain
from weft.hw.extensions.mapper import Mapper

from .harness import always, fixed, free, strengthen
from .proof import Mutant, Proof
from .specs import Steady, Witness

__all__ = ["PROOFS"]

WIDTH = 2
NUMBER_BITS = 2
"""A BD is told from the next by its number modulo 4."""


class Inverter(Mapper):
    """Inverts every bit, with a register behind it."""

    cut = True

    def changed(self, m: Module, content: Value) -> Value:
        return ~content


class Swapper(Mapper):
    """Swaps two bits."""

    def changed(self, m: Module, content: Value) -> Value:
        return content.rotate_left(1)


def chain_harness(design: Any) -> Module:
    m = Module()
    first, second = Inverter(width=WIDTH), Swapper(width=WIDTH)
    m.submodules.chain = chain = design(extensions={"first": first, "second": second})
    free(m, chain.i.valid, chain.i.payload, chain.o.ready, chain.first.valid, chain.second.valid)
    m.submodules.steady = Steady(chain.o)
    # What BD n has set, and the number of the BD whose setting an extension takes next.
    enables = [fixed(1 << NUMBER_BITS) for _ in range(2)]
    numbers = [Signal(NUMBER_BITS, name=f"number_{place}") for place in range(2)]
    for stream, enable, number in zip((chain.first, chain.second), enables, numbers, strict=True):
        waits = Signal(name=f"waits_{number.name}")
        taken = stream.valid & stream.ready
        m.d.comb += [
            stream.payload.enable.eq(enable.bit_select(number, 1)),
            Assume(stream.valid | ~waits),
        ]
        m.d.sync += [number.eq(number + taken), waits.eq(stream.valid & ~stream.ready)]

    def changed(place: int, beat: Value, number: Value) -> Value:
        """What comes of a beat of the BD `number` in one of the extensions."""
        view = compute_beat(WIDTH)(beat)
        data = ~view.data if place == 0 else view.data.rotate_left(1)
        other = Cat(data, view.mark, view.end, view.error)
        return Mux(enables[place].bit_select(number, 1), other, beat)

    entered, left = chain.i.valid & chain.i.ready, chain.o.valid & chain.o.ready
    given = Value.cast(chain.i.payload)
    inside_now = Signal(2)
    m.d.sync += inside_now.eq(inside_now + entered - left)
    expected = changed(1, changed(0, given, numbers[0]), numbers[0])
    m.submodules.witness = witness = Witness(
        push=entered,
        entering=expected,
        pop=left,
        leaving=chain.o.payload,
        level=inside_now,
    )
    always(m, inside_now <= 1, "one beat is inside at most")
    ended = entered & chain.i.payload.end
    begun = Signal(NUMBER_BITS)
    m.d.sync += begun.eq(begun + ended)
    always(m, numbers[0] == begun, "a setting is taken with the last beat of its BD")

    def invariant(inner: Module, inside: SimpleNamespace) -> None:
        (cut,) = (stage for stage in inside.stages if hasattr(stage, "shape"))
        held = Value.cast(cut.o.payload)
        always(inner, inside_now == cut.o.valid, "what is inside is in the register")
        behind = cut.o.valid & cut.o.payload.end
        always(inner, numbers[1] == (numbers[0] - behind)[:NUMBER_BITS], "the BD of each extension")
        with inner.If(witness.watching):
            always(inner, cut.o.valid & (witness.ahead == 0), "the noted beat is in the register")
            always(inner, witness.value == changed(1, held, numbers[1]), "and will be as noted")

    strengthen(chain, invariant)
    return m


PROOFS = (
    Proof(
        name="extension-chain",
        design=Chain,
        claim="every beat goes, in order and once, through those extensions that its BD enables; a "
        "setting is taken with the last beat of its BD; a stalled payload holds",
        size="2 extensions, one with a register behind it",
        harness=chain_harness,
        depth=2,
        mutants=(
            Mutant(
                flaw="a setting is taken with every beat",
                old="self.setting.ready.eq(self.i.valid & self.i.ready & self.i.payload.end)",
                new="self.setting.ready.eq(self.i.valid & self.i.ready)",
            ),
            Mutant(
                flaw="a bypassed beat does not wait for its setting",
                old="self.o.valid.eq(self.i.valid & self.setting.valid)",
                new="self.o.valid.eq(self.i.valid)",
            ),
            Mutant(
                flaw="bypassed beats go past the register",
                old='adopt(stages[-1], "o", self.o)',
                new='adopt(stages[0], "o", self.o)',
            ),
        ),
        reach=8,
    ),
)
