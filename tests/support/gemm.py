"""Work for the systolic array, and what its documentation says must come of it."""

import itertools
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from support.bench import collect, feed, run, stalls, watch
from support.quantizer import Column, any_column, words_of
from weft.hw.bus.streams import compute_beat
from weft.hw.config import ArrayConfig
from weft.hw.gemm import COUNTERS, GemmArray, array_operator
from weft.sim.golden.gemm import beat_of, matmul
from weft.sim.golden.quantizer import quantize

__all__ = ["Cycle", "Outcome", "Work", "counted", "execute"]


def payload(data: int, bits: int, *, mark: bool = False, end: bool = False, error: bool = False):
    return data | int(mark) << bits | int(end) << bits + 1 | int(error) << bits + 2


@dataclass
class Work:
    """Payloads of every stream, as integers, for tiles of `lengths` steps.

    ``ends`` are the steps that end a BD, beside the last; BD i adds C if ``adds[i]``, and its tiles
    go to the streams ``goes[i]``. Operands are uniform, or only -128 and 127 with `extremes`; where
    the array has zero points each BD has its own. A beat is faulty with probability `faults`.
    """

    array: ArrayConfig
    lengths: Sequence[int]
    ends: Sequence[int] = ()
    adds: Sequence[bool] = (False,)
    seed: int = 0
    extremes: bool = False
    faults: float = 0.0
    goes: Sequence[str] = ("d",)
    parameter_bits: int | None = None

    a: list[int] = field(default_factory=list)
    b: list[int] = field(default_factory=list)
    c: list[int] = field(default_factory=list)
    d: list[int] = field(default_factory=list)
    e: list[int] = field(default_factory=list)
    s: list[int] = field(default_factory=list)
    operator: list[int] = field(default_factory=list)
    tile_adds: list[bool] = field(default_factory=list)

    def __post_init__(self) -> None:
        toss, column_toss = np.random.default_rng(self.seed), random.Random(self.seed)
        array, total = self.array, sum(self.lengths)
        ends = {end for end in self.ends if end < total} | {total - 1}

        def operands(rows: int, columns: int) -> np.ndarray:
            if self.extremes:
                return toss.choice(np.array([-128, 127], np.int8), (rows, columns))
            return toss.integers(-128, 128, (rows, columns), dtype=np.int8)

        words = self._words()
        word = next(words)
        for length in self.lengths:
            c = None
            faulty = False
            add = bool(word["c_present"])
            self.tile_adds.append(add)
            if add:
                c = toss.integers(-(2**31), 2**31, (array.mu, array.nu)).astype(np.int32)
                faulty = toss.random() < self.faults
                self.c.append(payload(beat_of(c), array.d_bits, error=faulty))
            d = c
            for step in range(length):
                a, b = operands(array.mu, array.ku), operands(array.ku, array.nu)
                d = matmul(a, b, d, zero_a=word["zero_a"], zero_b=word["zero_b"])
                a_error, b_error = toss.random(2) < self.faults
                mark, end = step == length - 1, len(self.a) in ends
                self.a.append(payload(beat_of(a), array.a_bits, mark=mark, end=end, error=a_error))
                self.b.append(payload(beat_of(b), array.b_bits, error=b_error))
                faulty |= a_error | b_error
                ended = word
                if end and len(self.a) < total:
                    word = next(words)
            if not ended["e_wanted"] or ended["d_too"]:
                self.d.append(payload(beat_of(d), array.d_bits, mark=True, end=end, error=faulty))
            if ended["e_wanted"]:
                columns = [any_column(column_toss) for _ in range(array.nu)]
                faulty |= self._parameters(columns, toss.random() < self.faults)
                e = beat_of(quantize(d, columns))
                self.e.append(payload(e, array.e_bits, mark=True, end=end, error=faulty))

    def _words(self) -> Iterator[dict[str, int]]:
        """A BD's operator word after the other, which go to `operator` as well."""
        toss = random.Random(self.seed)
        for index in itertools.count():
            goes = self.goes[index % len(self.goes)]
            zeros = [toss.randrange(-128, 128) * self.array.zero_points for _ in range(2)]
            word = {
                "c_present": int(self.adds[index % len(self.adds)]),
                "e_wanted": int("e" in goes),
                "d_too": int(goes == "de"),
                "zero_a": zeros[0],
                "zero_b": zeros[1],
            }
            self.operator.append(array_operator().const(word).as_bits())
            yield word

    def _parameters(self, columns: Sequence[Column], faulty: bool) -> bool:
        """Append a tile's beats of S, the last of them faulty or not."""
        word, width = words_of(columns), self.parameter_bits or self.array.s_bits
        for low in range(0, self.array.s_bits, width):
            last = low + width == self.array.s_bits
            part = word >> low & (1 << width) - 1
            self.s.append(payload(part, width, error=faulty and last))
        return faulty


@dataclass(frozen=True, kw_only=True)
class Cycle:
    """The handshakes of one cycle."""

    a_valid: int
    a_ready: int
    mark: int
    b_valid: int
    c_valid: int
    c_ready: int
    operator_valid: int
    word: int
    d_valid: int
    d_ready: int
    e_valid: int = 0
    e_ready: int = 0
    s_valid: int = 0
    s_ready: int = 0


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of some work: D's and E's payloads, the handshakes of every cycle, the counters."""

    d: list[int]
    e: list[int]
    cycles: list[Cycle]
    counters: dict[str, int]
    dut: GemmArray


def recorder(dut: GemmArray, cycles: list[Cycle]):
    signals = {
        "a_valid": dut.a.valid,
        "a_ready": dut.a.ready,
        "mark": dut.a.payload.mark,
        "b_valid": dut.b.valid,
        "c_valid": dut.c.valid,
        "c_ready": dut.c.ready,
        "operator_valid": dut.operator.valid,
        "word": dut.operator.payload,
        "d_valid": dut.d.valid,
        "d_ready": dut.d.ready,
    }
    if dut.array.quantizer:
        signals |= {
            "e_valid": dut.e.valid,
            "e_ready": dut.e.ready,
            "s_valid": dut.s.valid,
            "s_ready": dut.s.ready,
        }

    async def record(ctx: Any) -> None:
        cycles.clear()
        while True:
            _, _, *values = await ctx.tick().sample(*signals.values())
            cycles.append(Cycle(**dict(zip(signals, values, strict=True))))

    return record


def execute(
    work: Work,
    give: float = 0.0,
    take: float = 0.0,
    seed: int = 0,
    slow: str | None = None,
) -> Outcome:
    """Run `work` until its last beats of D and E and two cycles on.

    Each of A, B, C, S and the operator words stalls with probability `give`, D and E with `take`;
    the stream called `slow` with 0.95.
    """
    array = work.array
    dut = GemmArray(array=array, parameter_bits=work.parameter_bits)
    taken: dict[str, list[int]] = {"d": [], "e": []}
    cycles: list[Cycle] = []
    counters: dict[str, int] = {}
    layouts = {
        "a": compute_beat(array.a_bits),
        "b": compute_beat(array.b_bits),
        "c": compute_beat(array.d_bits),
        "s": compute_beat(work.parameter_bits or array.s_bits),
    }
    sources = ("a", "b", "c", "operator", *("s" * array.quantizer))
    sinks = ("d", *("e" * array.quantizer))
    ended: set[str] = set()

    def pattern(name: str, probability: float, salt: object) -> Iterator[bool] | None:
        probability = 0.95 if name == slow else probability
        return stalls(probability, (seed, salt)) if probability else None

    def source(name: str, salt: int):
        items: Sequence[Any] = getattr(work, name)
        if name in layouts:
            items = [layouts[name].from_bits(item) for item in items]

        async def testbench(ctx: Any) -> None:
            await feed(ctx, getattr(dut, name), items, pattern(name, give, salt))

        return testbench

    def sink(name: str):
        async def testbench(ctx: Any) -> None:
            ended.discard(name)
            count = len(getattr(work, name))
            beats = await collect(ctx, getattr(dut, name), count, pattern(name, take, name))
            taken[name][:] = [beat.as_bits() for beat in beats]
            ended.add(name)
            if len(ended) == len(sinks):
                await ctx.tick().repeat(2)
                counters.update({name: ctx.get(getattr(dut, name)) for name in COUNTERS})

        return testbench

    run(
        dut,
        [*(source(name, i) for i, name in enumerate(sources)), *map(sink, sinks)],
        background=[
            recorder(dut, cycles),
            *(watch(getattr(dut, name), name) for name in sinks),
        ],
        limit=60 * (len(work.a) + 10) * (1 + array.mu // 4),
    )
    return Outcome(d=taken["d"], e=taken["e"], cycles=cycles, counters=counters, dut=dut)


def counted(work: Work, outcome: Outcome) -> dict[str, int]:
    """The counters by their definition, from what happened on the streams."""
    counts = dict.fromkeys(COUNTERS, 0)
    dut, mu = outcome.dut, work.array.mu
    is_open = False
    loaded = gap = s_beats = 0
    # Tiles on their way, and sets of parameters that no tile has been given.
    d_tiles = e_tiles = sets = 0
    last_mark = -mu
    # The counters are two cycles late.
    for now, cycle in enumerate(outcome.cycles[:-2]):
        step = cycle.a_valid and cycle.a_ready
        word = array_operator().from_bits(cycle.word)
        loaded += cycle.c_valid and cycle.c_ready
        adds = not is_open and word.c_present
        to_e = bool(word.e_wanted)
        to_d = bool(word.d_too) or not to_e
        there = cycle.a_valid and cycle.operator_valid and cycle.b_valid
        if step or is_open or d_tiles or e_tiles:
            counts["active"] += 1
            if step:
                counts["steps"] += 1
                counts["bubbles"] += gap
            gap = 0 if step else gap + 1
        else:
            gap = 0
        waits = None
        if to_d and d_tiles == dut.slots:
            waits = "blocked_d"
        elif to_e and not sets:
            waits = "starved_s"
        elif to_e and e_tiles == dut.slots_e:
            waits = "blocked_e"
        if not step and (is_open or cycle.a_valid or cycle.b_valid or cycle.operator_valid):
            counts["starved_a"] += not (cycle.a_valid and cycle.operator_valid)
            counts["starved_b"] += not cycle.b_valid
            counts["starved_c"] += bool(there and adds and not loaded)
            paced = not cycle.mark or now - last_mark >= mu
            if there and paced and not (adds and not loaded):
                assert cycle.mark
                assert waits, "a step waits for nothing"
                counts[waits] += 1
        if step:
            assert there
            assert not cycle.mark or (now - last_mark >= mu and not waits)
            assert not adds or loaded
            loaded -= bool(adds)
            is_open = not cycle.mark
            if cycle.mark:
                last_mark = now
                d_tiles += to_d
                e_tiles += to_e
                sets -= to_e
        d_tiles -= bool(cycle.d_valid and cycle.d_ready)
        e_tiles -= bool(cycle.e_valid and cycle.e_ready)
        s_beats += bool(cycle.s_valid and cycle.s_ready)
        if s_beats * dut.parameter_bits == work.array.s_bits:
            s_beats, sets = 0, sets + 1
    return counts
