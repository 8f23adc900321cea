"""Many counters in one memory."""

from collections.abc import Mapping
from dataclasses import dataclass

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

__all__ = ["COUNTER_BITS", "Count", "CounterBank"]

COUNTER_BITS = 32


@dataclass(frozen=True, kw_only=True)
class Count:
    """One counter of a :class:`CounterBank`.

    Parameters
    ----------
    most
        What it grows by in a cycle, at most.
    outlasts_reset
        Whether a reset leaves it as it is.
    """

    most: int = 1
    outlasts_reset: bool = False


class CounterBank(wiring.Component):
    """Counters that are looked at one at a time: a few bits each, and a memory for the rest.

    What a counter has counted of late is in a register of its own. Turn by turn, one a cycle, they
    hand that to their words in the memory (LUTRAM), which takes one adder for all; a register has
    the bits for what may come until the next turn. Turns end a round after the last event, so a
    bank at rest does not move.

    With ``look`` in cycle t, ``value`` is in t+1 the sum of what the counter ``which`` was to grow
    by in all cycles up to t, modulo 2**32, since its last ``clear``: the look takes the turn of
    another, which is why there must not be one in each of two successive cycles.

    Parameters
    ----------
    counts
        The counters by name, at least 2, in the order of their numbers.

    Members
    -------
    add : a field for each counter
        What it grows by in this cycle.
    clear : a bit for each counter
        It is 0, whatever it was to grow by in this cycle.
    look : 1
    which : `range(counters)`
    value : 32

    Raises
    ------
    ValueError
        There are fewer than 2 counters.
    """

    def __init__(self, *, counts: Mapping[str, Count]) -> None:
        if len(counts) < 2:
            raise ValueError(f"a bank has at least 2 counters, not {len(counts)}")
        self._counts = dict(counts)
        adds = {name: range(count.most + 1) for name, count in counts.items()}
        super().__init__(
            {
                "add": In(data.StructLayout(adds)),
                "clear": In(data.StructLayout(dict.fromkeys(counts, 1))),
                "look": In(1),
                "which": In(range(len(counts))),
                "value": Out(COUNTER_BITS),
            }
        )

    @property
    def counts(self) -> dict[str, Count]:
        return dict(self._counts)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        places = len(self._counts)
        m.submodules.sums = sums = Memory(shape=COUNTER_BITS, depth=places, init=[])
        write, read = sums.write_port(), sums.read_port(domain="comb")

        # Who is visited, and who is next. A reset must not put off a counter that outlasts it.
        turn = Signal(range(places), reset_less=True)
        visited = Signal.like(turn, reset_less=True)
        roams, visits = Signal(reset_less=True), Signal(reset_less=True)
        m.d.sync += [visited.eq(Mux(self.look, self.which, turn)), visits.eq(self.look | roams)]
        with m.If(roams & ~self.look):
            m.d.sync += turn.eq(turn + 1)
            with m.If(turn == places - 1):
                m.d.sync += [turn.eq(0), roams.eq(0)]
        with m.If(self.add.as_value().any()):
            m.d.sync += roams.eq(1)

        # Until its turn all others may have had theirs, each behind a look: two cycles a counter,
        # and one before the first.
        late = [
            Signal(
                range((2 * places + 1) * count.most + 1),
                name=f"late_{name}",
                reset_less=count.outlasts_reset,
            )
            for name, count in self._counts.items()
        ]
        # Nothing of it is in the memory: that cannot be cleared.
        anew = [
            Signal(init=1, name=f"anew_{name}", reset_less=count.outlasts_reset)
            for name, count in self._counts.items()
        ]
        some, none = Signal(max(len(each) for each in late)), Signal()
        m.d.comb += [
            read.addr.eq(visited),
            write.addr.eq(visited),
            write.en.eq(visits),
            write.data.eq(self.value),
            self.value.eq(some + Mux(none, 0, read.data)),
        ]
        with m.Switch(visited):
            for number in range(places):
                with m.Case(number):
                    m.d.comb += [some.eq(late[number]), none.eq(anew[number])]
        for number, name in enumerate(self._counts):
            has_turn, add = write.en & (visited == number), self.add[name]
            with m.If(self.clear[name]):
                m.d.sync += [late[number].eq(0), anew[number].eq(1)]
            with m.Elif(has_turn):
                m.d.sync += [late[number].eq(add), anew[number].eq(0)]
            with m.Else():
                m.d.sync += late[number].eq(late[number] + add)
        return m
