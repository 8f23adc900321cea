"""The FIFOs: order, no loss, the level, handshakes that do not depend on the other side."""

from types import SimpleNamespace
from typing import Any

from amaranth.hdl import Module, Mux, Signal, Value

from weft.hw.bus.cut import Cut
from weft.hw.bus.queue import Queue
from weft.hw.dma.buffer import BeatBuffer

from .harness import always, contents, free, strengthen
from .proof import Mutant, Proof
from .specs import Steady, Witness

__all__ = ["PROOFS", "cut_level", "cut_places", "queue_pointers"]

WIDTH = 4


def queue_pointers(queue: Any, *witnesses: Witness) -> Any:
    """The invariant of a queue: the pointers are `level` apart; a witness is where it should be."""

    def invariant(m: Module, inside: SimpleNamespace) -> None:
        head, tail = inside.read_port.addr, inside.write_port.addr
        ring(m, queue, head, tail, queue.level, inside.storage, witnesses)

    return invariant


def cut_level(cut: Any) -> Value:
    """Payloads in a register that cuts both ways."""
    return cut.o.valid + ~cut.i.ready


def cut_places(cut: Any, witness: Witness) -> Any:
    """The invariant of a register that cuts both ways: a witness in it is where it should be."""

    def invariant(m: Module, inside: SimpleNamespace) -> None:
        always(m, ~inside.waits | cut.o.valid, "the second place is behind the first")
        places = ((cut.o.valid, cut.o.payload), (inside.waits, inside.waiting))
        for place, (filled, payload) in enumerate(places):
            with m.If(witness.watching & filled & (witness.ahead == place)):
                held = Value.cast(payload) == witness.value
                always(m, held, "the noted payload stands in its place")

    return invariant


def ring(
    m: Module,
    queue: Any,
    head: Value,
    tail: Value,
    level: Value,
    storage: Any,
    witnesses: tuple[Witness, ...],
) -> None:
    depth = queue.depth
    always(m, level <= depth, "the level does not exceed the depth")
    always(m, head < depth, "the read pointer is in range")
    always(m, tail == wrapped(head + level, depth), "the pointers are the level apart")
    for witness in witnesses:
        place = Signal(range(2 * depth))
        m.d.comb += place.eq(wrapped(head + witness.ahead, depth))
        with m.If(witness.watching):
            stands(m, storage, place, witness.value)


def stands(m: Module, storage: Any, place: Value, value: Value) -> None:
    with m.Switch(place):
        for address, row in enumerate(contents(m, storage)):
            with m.Case(address):
                always(m, row == value, "the noted payload stands in its place")


def wrapped(place: Value, depth: int) -> Value:
    return Mux(place >= depth, place - depth, place)


def queue_harness(depth: int) -> Any:
    def harness(design: Any) -> Module:
        m = Module()
        m.submodules.queue = queue = design(WIDTH, depth=depth)
        free(m, queue.i.valid, queue.i.payload, queue.o.ready)
        m.submodules.steady = Steady(queue.o)
        pushed = queue.i.valid & queue.i.ready
        popped = queue.o.valid & queue.o.ready
        m.submodules.witness = witness = Witness(
            push=pushed,
            entering=queue.i.payload,
            pop=popped,
            leaving=queue.o.payload,
            level=queue.level,
        )
        strengthen(queue, queue_pointers(queue, witness))
        count = Signal(range(depth + 2))
        m.d.sync += count.eq(count + pushed - popped)
        always(m, queue.level == count, "the level is what went in less what came out")
        # `count` is a register, so neither side's handshake can depend on the other side's.
        always(m, queue.i.ready == (count != depth), "ready as long as there is room")
        always(m, queue.o.valid == (count != 0), "valid as long as there is a payload")
        return m

    return harness


def cut_harness(design: Any) -> Module:
    m = Module()
    m.submodules.cut = cut = design(WIDTH, both=True)
    free(m, cut.i.valid, cut.i.payload, cut.o.ready)
    m.submodules.steady = Steady(cut.o)
    pushed, popped = cut.i.valid & cut.i.ready, cut.o.valid & cut.o.ready
    count = Signal(range(4))
    m.d.sync += count.eq(count + pushed - popped)
    m.submodules.witness = witness = Witness(
        push=pushed,
        entering=cut.i.payload,
        pop=popped,
        leaving=cut.o.payload,
        level=count,
    )
    # `count` is a register, so neither side's handshake can depend on the other side's.
    always(m, cut.i.ready == (count != 2), "ready as long as there is room")
    always(m, cut.o.valid == (count != 0), "valid as long as there is a payload")
    always(m, count <= 2, "no more than there is room for")
    strengthen(cut, cut_places(cut, witness))
    return m


def buffer_harness(design: Any) -> Module:
    m = Module()
    m.submodules.buffer = buffer = design(WIDTH, depth=3)
    free(m, buffer.i.valid, buffer.i.payload, buffer.o.ready)
    m.submodules.steady = Steady(buffer.o)
    level = Signal(range(6))
    m.d.comb += level.eq(buffer.held + buffer.o.valid)
    m.submodules.witness = witness = Witness(
        push=buffer.i.valid & buffer.i.ready,
        entering=buffer.i.payload,
        pop=buffer.o.valid & buffer.o.ready,
        leaving=buffer.o.payload,
        level=level,
    )
    always(m, buffer.i.ready == (buffer.held != buffer.depth), "ready as long as there is room")

    def invariant(inner: Module, inside: SimpleNamespace) -> None:
        head, tail = inside.read_port.addr, inside.write_port.addr
        always(inner, buffer.held <= buffer.depth, "the level does not exceed the depth")
        always(inner, head < buffer.depth, "the read pointer is in range")
        always(
            inner,
            tail == wrapped(head + buffer.held, buffer.depth),
            "the pointers are the level apart",
        )
        place = Signal(range(8))
        # The output register holds the payload in front of those in the memory.
        inner.d.comb += place.eq(wrapped(head + witness.ahead - buffer.o.valid, buffer.depth))
        with inner.If(witness.watching):
            with inner.If(buffer.o.valid & (witness.ahead == 0)):
                always(inner, buffer.o.payload == witness.value, "the noted payload is next")
            with inner.Else():
                stands(inner, inside.storage, place, witness.value)

    strengthen(buffer, invariant)
    return m


_ORDER = "in order, none lost or doubled; level exact; ready and valid are functions of registers"

PROOFS = (
    *(
        Proof(
            name=f"queue-{depth}",
            design=Queue,
            claim=_ORDER + "; payload and valid hold while stalled",
            size=f"depth {depth}",
            harness=queue_harness(depth),
            depth=2,
            reach=6,
            mutants=mutants,
        )
        for depth, mutants in (
            (
                4,
                (
                    Mutant(
                        flaw="takes one payload too many",
                        old="self.level != self._depth)",
                        new="self.level <= self._depth)",
                    ),
                    Mutant(
                        flaw="forgets a push in the cycle of a pop",
                        old="write_port.en.eq(push)",
                        new="write_port.en.eq(push & ~pop)",
                    ),
                    Mutant(
                        flaw="ready waits for the other side",
                        old="self.i.ready.eq(self.level != self._depth)",
                        new="self.i.ready.eq((self.level != self._depth) | self.o.ready)",
                    ),
                ),
            ),
            (
                3,
                (
                    Mutant(
                        flaw="the pointers run on past the depth",
                        old="Mux(pointer == self._depth - 1, 0, pointer + 1)",
                        new="pointer + 1",
                    ),
                ),
            ),
        )
    ),
    Proof(
        name="register",
        design=Cut,
        claim="in order, none lost or doubled, one a cycle; ready and valid are registers; payload "
        "and valid hold while stalled",
        size="both ways",
        harness=cut_harness,
        depth=2,
        reach=5,
        mutants=(
            Mutant(
                flaw="overwrites what waits",
                old="with m.If(~waits):",
                new="if True:",
            ),
            Mutant(
                flaw="gives what comes before what waits",
                old="Mux(waits, waiting, payload)",
                new="Mux(self.i.valid, payload, waiting)",
            ),
            Mutant(
                flaw="moves while stalled",
                old="moves = ~self.o.valid | self.o.ready",
                new="moves = self.o.valid | self.o.ready",
            ),
        ),
    ),
    Proof(
        name="beat-buffer",
        design=BeatBuffer,
        claim="in order, none lost or doubled; payload and valid hold while stalled",
        size="depth 3",
        harness=buffer_harness,
        depth=2,
        reach=6,
        mutants=(
            Mutant(
                flaw="reads over a beat that is still offered",
                old="(held != 0) & (~self.o.valid | self.o.ready)",
                new="held != 0",
            ),
        ),
    ),
)
