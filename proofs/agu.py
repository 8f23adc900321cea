"""Address generation: the bank remapper is a bijection, the temporal AGU is its loop nest."""

from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

from amaranth.hdl import Assume, Cat, Const, Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import data

from weft.hw.agu.remap import BankMap
from weft.hw.agu.row import BOUND_BITS, GUARD_BITS
from weft.hw.agu.temporal import TemporalAgu
from weft.hw.config import MemoryConfig

from .harness import always, contents, fixed, free, strengthen
from .proof import Mutant, Proof
from .specs import Steady

__all__ = ["PROOFS"]

ADDRESS_BITS = 16
LOOPS = 3
REACH = 8


def remap_harness(design: Any) -> Module:
    m = Module()
    memory = MemoryConfig()
    for reach in (0, REACH):
        known = (reach - 1).bit_length() if reach else 0
        banks = design(memory=memory, reach=reach, known=known)
        for mode in banks.modes:
            _claim_places(m, memory, memory.groups[mode], banks, Const(mode), known)
    return m


def _claim_places(
    m: Module, memory: MemoryConfig, group: int, banks: Any, mode: Value, known: int
) -> None:
    """What `banks` says in a `mode` with groups of `group` banks."""
    row_bits = (memory.rows - 1).bit_length()
    word_bits = row_bits + (memory.banks - 1).bit_length()

    def placed(word: Value) -> tuple[Value, Value]:
        bank, row = banks.place(banks.lift(word[known:], mode), mode)
        return Cat(word[:known], bank), row

    one, other = fixed(word_bits), fixed(word_bits)
    (bank, row), (other_bank, other_row) = placed(one), placed(other)
    with m.If(one != other):
        always(m, (bank != other_bank) | (row != other_row), "no two words in one place")
    # Every factor is a power of two: the definition is one of shifts.
    group_bits = (group - 1).bit_length()
    number = (
        ((bank >> group_bits) << (row_bits + group_bits))
        + (row << group_bits)
        + (bank & (group - 1))
    )
    always(m, one == number, "words run along the banks of a group, then its rows")
    always(m, bank < memory.banks, "the bank exists")
    always(m, row < memory.rows, "the row exists")
    every = fixed(signed(word_bits + 2))
    lifted = banks.lift(every[known:].as_signed(), mode)
    exists = (every >= 0) & (every < memory.banks * memory.rows)
    always(m, banks.beyond(lifted, mode) == ~exists, "no other number is a word's")


class Walk:
    """An affine value over the loops, by its definition: a loop nest with a pointer a level.

    Every loop starts where the loop around it stands, and moves its own pointer by its stride::

        p[2] = start
        repeat: p[1] = p[2]
            repeat: p[0] = p[1]
                repeat: give p[0]; p[0] += stride[0]
            p[1] += stride[1]
        p[2] += stride[2]

    The hardware is given deltas: the stride of a loop less the way that the loops inside have come.
    Here the solver chooses any delta, and ``Assume`` keeps those for which that is so.
    """

    def __init__(self, m: Module, width: int, loops: int) -> None:
        self.start = Signal(width)
        self.strides = Signal(data.ArrayLayout(width, loops))
        self.deltas = Signal(data.ArrayLayout(signed(width), loops))
        free(m, self.start, self.strides, self.deltas)
        # Of the task that runs.
        self.kept_strides = Signal.like(self.strides)
        self.kept_deltas = Signal.like(self.deltas)
        self.pointers = Signal(data.ArrayLayout(width, loops))

    def begin(self, m: Module) -> None:
        m.d.sync += [
            self.kept_strides.eq(self.strides),
            self.kept_deltas.eq(self.deltas),
            *(pointer.eq(self.start) for pointer in self.pointers),
        ]

    def step(self, m: Module, level: int) -> None:
        width = len(self.start)
        target = (self.pointers[level] + self.kept_strides[level])[:width]
        moved = (self.pointers[0] + self.kept_deltas[level])[:width]
        m.d.comb += Assume(moved == target)
        m.d.sync += [self.pointers[inner].eq(target) for inner in range(level + 1)]


def lowest(bits: Iterable[Value]) -> Value:
    """The number of the first one that is set."""
    number: Value = Const(0)
    for index, bit in reversed(list(enumerate(bits))):
        number = Mux(bit, index, number)
    return number


def temporal_harness(design: Any) -> Module:
    m = Module()
    m.submodules.agu = agu = design(
        address_bits=ADDRESS_BITS, loops=LOOPS, guards=1, settings=unsigned(2)
    )
    task, row = agu.i.payload, agu.o.payload
    levels = range(LOOPS)
    m.submodules.steady = Steady(agu.o)
    given = Signal(data.ArrayLayout(unsigned(BOUND_BITS), LOOPS))
    free(m, agu.i.valid, agu.o.ready, given, task.mark_level, task.settings)
    address, guard = Walk(m, ADDRESS_BITS, LOOPS), Walk(m, GUARD_BITS, LOOPS)
    m.d.comb += [task.base.eq(address.start), task.guards[0].eq(guard.start)]

    running, empty, ended = Signal(), Signal(), Signal()
    indices = Signal.like(given)
    bounds, mark_level = Signal.like(given), Signal.like(task.mark_level)
    m.d.comb += [
        agu.step.bound.eq(bounds[agu.level]),
        agu.step.two.eq(bounds[agu.level] == 2),
        agu.step.delta.eq(address.kept_deltas[agu.level]),
        agu.step.guards[0].eq(guard.kept_deltas[agu.level]),
    ]
    settings = Signal.like(task.settings)
    lasts = [indices[level] == bounds[level] - 1 for level in levels]
    unmarked = [~lasts[level] & (level <= mark_level) for level in levels]
    m.d.comb += [
        empty.eq(Cat(given[level] == 0 for level in levels).any()),
        task.empty.eq(empty),
        task.single.eq(Cat(given[level] == 1 for level in levels)),
        ended.eq(Cat(lasts).all()),
    ]
    always(m, agu.o.valid == running, "a row for each iteration, none without a task")
    with m.If(running):
        always(m, row.address == address.pointers[0], "the address is that of the loop nest")
        always(
            m, row.guards[0] == guard.pointers[0].as_signed(), "the guard is that of the loop nest"
        )
        always(m, row.mark == ~Cat(unmarked).any(), "mark ends the chosen loops")
        always(m, row.end == ended, "end ends all loops")
        always(m, row.first == ~Value.cast(indices).any(), "first is the first iteration")
        always(m, row.settings == settings, "the settings are those of the task")
    always(m, agu.i.ready == (~running | (agu.o.ready & ended)), "no bubble between tasks")

    with m.If(agu.i.ready & agu.i.valid):
        m.d.sync += [running.eq(~empty), indices.eq(0), bounds.eq(given)]
        m.d.sync += [mark_level.eq(task.mark_level), settings.eq(task.settings)]
        address.begin(m)
        guard.begin(m)
    with m.Elif(running & agu.o.ready):
        m.d.sync += running.eq(~ended)
        for level in levels:
            with m.If(~lasts[level]) if level == 0 else m.Elif(~lasts[level]):
                m.d.sync += indices[level].eq(indices[level] + 1)
                m.d.sync += [indices[inner].eq(0) for inner in range(level)]
                address.step(m, level)
                guard.step(m, level)

    def invariant(inner: Module, inside: SimpleNamespace) -> None:
        with inner.If(running & ~Cat(bounds[level] == 1 for level in levels).all()):
            always(inner, inside.innermost == lowest(each != 1 for each in bounds), "innermost")
        with inner.If(running & ~ended):
            always(inner, agu.level == lowest(~last for last in lasts), "which loop steps")
        left = [inside.left(row) for row in contents(inner, inside.remaining)]
        with inner.If(running):
            for level in levels:
                bound, index, rest = bounds[level], indices[level], left[level]
                fresh = inside.fresh[level]
                counts = (level == 0) | (mark_level >= level)
                for holds, what in (
                    (index < bound, "the index is below its bound"),
                    (inside.single[level] == (bound == 1), "single: the bound is 1"),
                    (inside.marked[level] == counts, "marked: the loop counts"),
                    (fresh == (index == 0), "fresh: it is in its first iteration"),
                    (fresh | (rest.iterations == bound - index), "what remains"),
                    (fresh | (rest.two == (rest.iterations == 2)), "of which it is told if two"),
                    (inside.last[level] == lasts[level], "the last iteration"),
                ):
                    always(inner, holds, what)

    strengthen(agu, invariant)
    return m


_TEMPORAL_MUTANTS = (
    Mutant(
        flaw="a loop of one iteration does not start in its last",
        old="(last[inner], single[inner])",
        new="(last[inner], Const(0))",
    ),
    Mutant(
        flaw="an outer loop steps twice",
        old="Mux((self.level == innermost) & now.two, outwards, innermost)",
        new="Mux(now.two, outwards, innermost)",
    ),
    Mutant(
        flaw="an inner loop does not start again",
        old="(fresh[inner], 1)",
        new="(fresh[inner], fresh[inner])",
    ),
    Mutant(
        flaw="moves on while stalled",
        old="m.Elif(self.o.valid & self.o.ready)",
        new="m.Elif(self.o.valid)",
    ),
)

PROOFS = (
    Proof(
        name="remap",
        design=BankMap,
        claim="in every mode a bijection of words and places, and the one that the paper defines; "
        "and no other number has a place",
        size="32 banks of 512 rows, groups of 32, 16, 8 and 1; a reach of all and of 8",
        harness=remap_harness,
        depth=1,
        reach=1,
        mutants=(
            Mutant(
                flaw="two groups share a bank",
                old="self._group : self._group + self._bank_bits",
                new="self._group + 1 : self._group + 1 + self._bank_bits",
            ),
            Mutant(
                flaw="the smallest groups are lifted least",
                old="number.shift_left(self._shift(each))",
                new="number.shift_left(self.most - self._shift(each))",
            ),
            Mutant(
                flaw="numbers behind the last are words where groups are smaller",
                old="lifted[last:].any() | self._in_mode(mode, some)",
                new="lifted[last:].any()",
            ),
        ),
    ),
    Proof(
        name="temporal-agu",
        design=TemporalAgu,
        claim="address, guard, mark, end and first are those of the loop nest, iteration for "
        "iteration, whatever the stalls; payload and valid hold while stalled",
        size=f"{LOOPS} loops, 1 guard, {ADDRESS_BITS}-bit addresses, bounds and guard full width",
        harness=temporal_harness,
        depth=2,
        reach=10,
        mutants=_TEMPORAL_MUTANTS,
    ),
)
