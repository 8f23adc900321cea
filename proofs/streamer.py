"""A read channel of a streamer: credits and order."""

from types import SimpleNamespace
from typing import Any

from amaranth.hdl import Assume, Cat, Const, Module, Mux, Signal, Value

from weft.hw.config import MemoryConfig, MoverConfig
from weft.hw.streamer.read_channel import ReadChannel
from weft.hw.streamer.ring import level

from .harness import always, contents, free, strengthen, total
from .proof import Mutant, Proof
from .queue import wrapped
from .specs import Foretold, Steady, Witness

__all__ = ["PROOFS"]

MEMORY = MemoryConfig(banks=2, bank_bits=16, rows=2, groups=(2,), crossbar_stages=2)
MOVER = MoverConfig(
    name="A", kind="read", bind="export", spatial_bounds=(1,), address_depth=2, data_depth=3
)
ROWS = MOVER.address_depth + MOVER.data_depth + 1
"""That a channel can hold."""


def channel_harness(design: Any) -> Module:
    m = Module()
    m.submodules.channel = channel = design(memory=MEMORY, mover=MOVER, index=0)
    request, response = channel.memory.req, channel.memory.rsp
    pop = Signal()
    free(m, channel.push, pop, channel.row, request.ready)
    filled = channel.arrived != channel.pop_pointer
    for used, allowed in ((channel.push, channel.room), (pop, filled)):
        m.d.comb += Assume(~used | allowed)
    m.submodules.steady = Steady(request)
    m.submodules.foretold = Foretold(channel.memory)

    # The port's pointers, and the scratchpad: a word tells where it was read.
    for pointer, moves in ((channel.push_pointer, channel.push), (channel.pop_pointer, pop)):
        counter = Signal.like(pointer)
        m.d.comb += pointer.eq(counter)
        with m.If(moves):
            m.d.sync += counter.eq(counter + 1)
    granted = request.valid & request.ready
    read = Cat(request.payload.bank, request.payload.row)
    pending = Signal(MEMORY.latency)
    kept = [Signal(len(read), name=f"read_{stage}") for stage in range(MEMORY.latency)]
    m.d.sync += pending.eq(Cat(granted, pending))
    for place, before in zip(kept, [read, *kept], strict=False):
        m.d.sync += place.eq(before)
    m.d.comb += [
        response.valid.eq(pending[-1]),
        response.data.eq(Mux(response.valid, kept[-1], 0)),
    ]

    inside_now = Signal(range(ROWS + 2))
    m.d.sync += inside_now.eq(inside_now + channel.push - pop)
    address = channel.row.channels[0]
    m.submodules.witness = witness = Witness(
        push=channel.push,
        entering=told(~address.skip, Cat(address.bank, address.row)),
        pop=pop,
        leaving=told(channel.word.valid, channel.word.data[: len(read)]),
        level=inside_now,
    )
    always(m, inside_now <= ROWS, "no more rows than there is room for")
    always(m, ~filled | (inside_now != 0), "a word for each address only")

    def invariant(inner: Module, inside: SimpleNamespace) -> None:
        latency, places = MEMORY.latency, inside.words.depth
        push_pointer, pop_pointer = channel.push_pointer, channel.pop_pointer
        waiting = level(push_pointer, inside.issued)
        held = level(channel.arrived, pop_pointer)
        arrived = [inside.skips[stage] | pending[stage] for stage in range(latency)]
        staged = request.valid | inside.skip
        moving = total(arrived) + staged
        reserved = level(inside.issued, pop_pointer)
        always(inner, reserved == held + moving, "reserved words")
        always(inner, reserved <= MOVER.data_depth + 1, "words have room")
        always(inner, waiting <= MOVER.address_depth, "addresses have room")
        always(inner, inside_now == waiting + reserved, "each row is in one place")
        always(inner, (inside.skips & pending) == 0, "one arrives at a time")
        always(inner, ~(request.valid & inside.skip), "an access or none")

        # Every place of the channel from the oldest row to the youngest.
        line: list[tuple[Value, Value]] = []
        words = contents(inner, inside.words)
        for offset in range(MOVER.data_depth + 1):
            word = channel.word.shape()(select(words, wrapped(pop_pointer + offset, places)))
            line.append((held > offset, told(word.valid, word.data[: len(read)])))
        for stage in reversed(range(latency)):
            line.append((arrived[stage], told(pending[stage], kept[stage])))
        line.append((staged, told(request.valid, read)))
        entries = contents(inner, inside.addresses)
        for offset in range(MOVER.address_depth):
            entry = inside.address.shape(select(entries, wrapped(inside.issued + offset, places)))
            content = told(~entry.skip, Cat(inside.address.bank(entry), entry.row))
            line.append((waiting > offset, content))
        rank: Value = Const(0, 1)
        for occupied, content in line:
            with inner.If(occupied & witness.watching & (witness.ahead == rank)):
                always(inner, content == witness.value, "the noted row stands in its place")
            rank = rank + occupied

    strengthen(channel, invariant)
    return m


def told(valid: Value, place: Value) -> Value:
    """What a row comes to: the place that is read, or none."""
    return Cat(valid, Mux(valid, place, 0))


def select(values: list[Value], index: Value) -> Value:
    result = values[-1]
    for number, value in enumerate(values[:-1]):
        result = Mux(index == number, value, result)
    return result


PROOFS = (
    Proof(
        name="read-channel",
        design=ReadChannel,
        claim="a word is reserved for every request, so a response always has room; the words are "
        "those of the addresses, in order, none lost; the request holds until it is granted",
        size=f"{MOVER.address_depth} addresses, {MOVER.data_depth} words, latency {MEMORY.latency}",
        harness=channel_harness,
        depth=2,
        mutants=(
            Mutant(
                flaw="requests without a free word",
                old="level(issued, self.pop_pointer) != most",
                new="issued == issued",
            ),
            Mutant(
                flaw="a skipped row arrives early",
                old="arrives = response.valid | skips[-1]",
                new="arrives = response.valid | skips[0]",
            ),
            Mutant(
                flaw="an address is pushed without room",
                old="level(self.push_pointer, issued) != mover.address_depth",
                new="issued == issued",
            ),
        ),
        reach=10,
    ),
)
