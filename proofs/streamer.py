"""A read channel of a streamer: credits, order, and an end for each end."""

from types import SimpleNamespace
from typing import Any

from amaranth.hdl import Assume, Cat, Const, Module, Mux, Signal, Value

from weft.hw.config import MemoryConfig, MoverConfig
from weft.hw.streamer.read_channel import ReadChannel

from .harness import always, contents, free, strengthen, total
from .proof import Mutant, Proof
from .queue import wrapped
from .specs import Steady, Witness

__all__ = ["PROOFS"]

MEMORY = MemoryConfig(banks=2, bank_bits=16, rows=2, groups=(2,), crossbar_stages=2)
MOVER = MoverConfig(
    name="A", kind="read", bind="export", spatial_bounds=(1,), address_depth=2, data_depth=3
)
ROWS = MOVER.address_depth + MOVER.data_depth
"""That a channel can hold."""


def channel_harness(design: Any) -> Module:
    m = Module()
    m.submodules.channel = channel = design(memory=MEMORY, mover=MOVER, index=0)
    request, response = channel.memory.req, channel.memory.rsp
    free(m, channel.push, channel.pop, channel.retire, channel.row, request.ready)
    for used, allowed in (
        (channel.push, channel.room),
        (channel.pop, channel.filled),
        (channel.retire, channel.ended),
    ):
        m.d.comb += Assume(~used | allowed)
    m.submodules.steady = Steady(request)

    # The port's pointers, and the scratchpad: a word tells where it was read.
    for pointer, moves, depth in (
        (channel.push_pointer, channel.push, MOVER.address_depth),
        (channel.pop_pointer, channel.pop, MOVER.data_depth),
    ):
        counter = Signal.like(pointer)
        m.d.comb += pointer.eq(counter)
        with m.If(moves):
            m.d.sync += counter.eq(wrapped(counter + 1, depth))
    granted = request.valid & request.ready
    read = Cat(request.payload.bank, request.payload.row)
    pending = Signal(MEMORY.latency)
    places = [Signal(len(read), name=f"read_{stage}") for stage in range(MEMORY.latency)]
    m.d.sync += pending.eq(Cat(granted, pending))
    for place, before in zip(places, [read, *places], strict=False):
        m.d.sync += place.eq(before)
    m.d.comb += [
        response.valid.eq(pending[-1]),
        response.data.eq(Mux(response.valid, places[-1], 0)),
    ]

    # Rows inside, oldest first: whether each ends a BD, and how many of those are retired.
    level = Signal(range(ROWS + 2))
    ends = Signal(ROWS + 2)
    retired = Signal(range(ROWS + 2))
    last = Signal()
    m.d.comb += last.eq(channel.pop & ends[0])
    pushed = Signal.like(ends)
    m.d.comb += pushed.eq(ends | (channel.push & channel.row.end) << level)
    m.d.sync += [
        level.eq(level + channel.push - channel.pop),
        ends.eq(Mux(channel.pop, pushed >> 1, pushed)),
        retired.eq(retired + channel.retire - last),
    ]
    # A port retires a row when its response is in every channel, so not after its word has gone.
    m.d.comb += Assume(~last | (retired != 0) | channel.retire)
    address = channel.row.channels[0]
    m.submodules.witness = witness = Witness(
        push=channel.push,
        entering=told(~address.skip, Cat(address.bank, address.row)),
        pop=channel.pop,
        leaving=told(channel.word.valid, channel.word.data[: len(read)]),
        level=level,
    )
    always(m, level <= ROWS, "no more rows than there is room for")
    always(m, ~channel.ended | (retired < total(ends)), "ended for a row with end only, and once")
    always(m, ~channel.filled | (level != 0), "a word for each address only")

    def invariant(inner: Module, inside: SimpleNamespace) -> None:
        held, latency = inside.words_held, MEMORY.latency
        arrived = [inside.skips[stage] | pending[stage] for stage in range(latency)]
        staged = request.valid | inside.skip
        moving = total(arrived) + staged
        always(inner, inside.words_free + held + moving == MOVER.data_depth, "reserved words")
        always(inner, level == held + moving + inside.addresses_held, "each row is in one place")
        always(inner, inside.addresses_held <= MOVER.address_depth, "addresses have room")
        always(inner, channel.filled == (held != 0), "filled")
        always(inner, channel.room == (inside.addresses_held != MOVER.address_depth), "room")
        always(inner, (inside.skips & pending) == 0, "one arrives at a time")
        always(inner, ~(request.valid & inside.skip), "an access or none")
        always(inner, (ends >> level) == 0, "the ends are of rows inside")
        word_in, address_out = inside.word_in.addr, inside.address_out.addr
        pop, push = channel.pop_pointer, channel.push_pointer
        depth, address_depth = MOVER.data_depth, MOVER.address_depth
        always(inner, (pop < depth) & (address_out < address_depth), "pointers are in range")
        always(inner, word_in == wrapped(pop + held, depth), "the ring of words")
        ring = wrapped(address_out + inside.addresses_held, address_depth)
        always(inner, push == ring, "the ring of addresses")

        # Every place of the channel from the oldest row to the youngest.
        line: list[tuple[Value, Value, Value | None]] = []
        words = contents(inner, inside.words)
        for offset in range(depth):
            word = channel.word.shape()(select(words, wrapped(pop + offset, depth)))
            line.append((held > offset, told(word.valid, word.data[: len(read)]), None))
        for stage in reversed(range(latency)):
            content = told(pending[stage], places[stage])
            line.append((arrived[stage], content, inside.ends[stage]))
        line.append((staged, told(request.valid, read), inside.end))
        entries = contents(inner, inside.addresses)
        for offset in range(address_depth):
            entry = inside.entry(select(entries, wrapped(address_out + offset, address_depth)))
            place = entry.place
            content = told(~place.skip, Cat(place.bank, place.row))
            waits = inside.addresses_held > offset
            line.append((waits, content, waits & entry.end))
        rank: Value = Const(0, 1)
        early: Value = Const(0, 1)
        for occupied, content, end in line:
            with inner.If(occupied & witness.watching & (witness.ahead == rank)):
                always(inner, content == witness.value, "the noted row stands in its place")
            if end is None:
                early = early + (occupied & ends.bit_select(rank, 1))
            else:
                with inner.If(occupied):
                    always(inner, end == ends.bit_select(rank, 1), "its end goes with it")
                with inner.Else():
                    always(inner, ~end, "no end without a row")
            rank = rank + occupied
        always(inner, early == inside.ends_held + retired, "each end that arrived is to retire")
        always(inner, channel.ended == (inside.ends_held != 0), "ended")

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
        "those of the addresses, in order, none lost; an end for each row that ends a BD, not "
        "before its response; the request holds until it is granted",
        size=f"{MOVER.address_depth} addresses, {MOVER.data_depth} words, latency {MEMORY.latency}",
        harness=channel_harness,
        depth=2,
        mutants=(
            Mutant(
                flaw="requests without a free word",
                old="with m.If(advance & (addresses_held != 0) & (words_free != 0)):",
                new="with m.If(advance & (addresses_held != 0)):",
            ),
            Mutant(
                flaw="a skipped row arrives early",
                old="arrives = response.valid | skips[-1]",
                new="arrives = response.valid | skips[0]",
            ),
            Mutant(
                flaw="an end arrives while its request waits",
                old="Cat(end & advance, ends)",
                new="Cat(end, ends)",
            ),
        ),
        reach=10,
    ),
)
