"""Work for the systolic array, and what its documentation says must come of it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from support.bench import collect, feed, run, stalls, watch
from weft.hw.bus.streams import compute_beat
from weft.hw.config import ArrayConfig
from weft.hw.gemm import C_PRESENT, GemmArray
from weft.sim.golden.gemm import beat_of, matmul

__all__ = ["Cycle", "Outcome", "Work", "counted", "execute"]

COUNTERS = ("active", "steps", "bubbles", "starved_a", "starved_b", "starved_c", "blocked_d")


def payload(data: int, bits: int, *, mark: bool = False, end: bool = False, error: bool = False):
    return data | int(mark) << bits | int(end) << bits + 1 | int(error) << bits + 2


@dataclass
class Work:
    """Payloads of every stream, as integers, for tiles of `lengths` steps.

    ``ends`` are the steps that end a BD, beside the last; BD i adds C if ``adds[i]``. Operands are
    uniform, or only -128 and 127 with `extremes`. A beat is faulty with probability `faults`.
    """

    array: ArrayConfig
    lengths: Sequence[int]
    ends: Sequence[int] = ()
    adds: Sequence[bool] = (False,)
    seed: int = 0
    extremes: bool = False
    faults: float = 0.0

    a: list[int] = field(default_factory=list)
    b: list[int] = field(default_factory=list)
    c: list[int] = field(default_factory=list)
    d: list[int] = field(default_factory=list)
    operator: list[int] = field(default_factory=list)
    tile_adds: list[bool] = field(default_factory=list)

    def __post_init__(self) -> None:
        random = np.random.default_rng(self.seed)
        array, total = self.array, sum(self.lengths)
        ends = {end for end in self.ends if end < total} | {total - 1}

        def operands(rows: int, columns: int) -> np.ndarray:
            if self.extremes:
                return random.choice(np.array([-128, 127], np.int8), (rows, columns))
            return random.integers(-128, 128, (rows, columns), dtype=np.int8)

        adds = (self.adds[i % len(self.adds)] for i in range(len(ends)))
        add = next(adds)
        self.operator.append(C_PRESENT * add)
        for length in self.lengths:
            c = None
            faulty = False
            self.tile_adds.append(add)
            if add:
                c = random.integers(-(2**31), 2**31, (array.mu, array.nu)).astype(np.int32)
                faulty = random.random() < self.faults
                self.c.append(payload(beat_of(c), array.d_bits, error=faulty))
            a_tiles, b_tiles = [], []
            for step in range(length):
                a_tiles.append(operands(array.mu, array.ku))
                b_tiles.append(operands(array.ku, array.nu))
                a_error, b_error = random.random(2) < self.faults
                mark, end = step == length - 1, len(self.a) in ends
                self.a.append(
                    payload(beat_of(a_tiles[-1]), array.a_bits, mark=mark, end=end, error=a_error)
                )
                self.b.append(payload(beat_of(b_tiles[-1]), array.b_bits, error=b_error))
                faulty |= a_error | b_error
                if end and len(self.a) < total:
                    add = next(adds)
                    self.operator.append(C_PRESENT * add)
            d = matmul(np.concatenate(a_tiles, axis=1), np.concatenate(b_tiles, axis=0), c)
            self.d.append(payload(beat_of(d), array.d_bits, mark=True, end=end, error=faulty))


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
    add: int
    d_valid: int
    d_ready: int


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of some work: the D payloads, the handshakes of every cycle, the counters."""

    d: list[int]
    cycles: list[Cycle]
    counters: dict[str, int]
    slots: int
    latency: int


def recorder(dut: GemmArray, cycles: list[Cycle]):
    signals = {
        "a_valid": dut.a.valid,
        "a_ready": dut.a.ready,
        "mark": dut.a.payload.mark,
        "b_valid": dut.b.valid,
        "c_valid": dut.c.valid,
        "c_ready": dut.c.ready,
        "operator_valid": dut.operator.valid,
        "add": dut.operator.payload[0],
        "d_valid": dut.d.valid,
        "d_ready": dut.d.ready,
    }

    async def record(ctx: Any) -> None:
        cycles.clear()
        while True:
            _, _, *values = await ctx.tick().sample(*signals.values())
            cycles.append(Cycle(**dict(zip(signals, values, strict=True))))

    return record


def execute(work: Work, give: float = 0.0, take: float = 0.0, seed: int = 0) -> Outcome:
    """Run `work` until its last beat of D and two cycles on.

    Each of A, B, C and the operator words stalls with probability `give`, D with `take`.
    """
    dut = GemmArray(array=work.array)
    taken: list[int] = []
    cycles: list[Cycle] = []
    counters: dict[str, int] = {}
    layouts = {
        "a": compute_beat(work.array.a_bits),
        "b": compute_beat(work.array.b_bits),
        "c": compute_beat(work.array.d_bits),
    }

    def source(name: str, salt: int):
        items: Sequence[Any] = getattr(work, name)
        if name in layouts:
            items = [layouts[name].from_bits(item) for item in items]
        pattern: Iterator[bool] | None = stalls(give, (seed, salt)) if give else None

        async def testbench(ctx: Any) -> None:
            await feed(ctx, getattr(dut, name), items, pattern)

        return testbench

    async def sink(ctx: Any) -> None:
        pattern = stalls(take, (seed, "d")) if take else None
        beats = await collect(ctx, dut.d, len(work.d), pattern)
        taken[:] = [beat.as_bits() for beat in beats]
        await ctx.tick().repeat(2)
        counters.update({name: ctx.get(getattr(dut, name)) for name in COUNTERS})

    run(
        dut,
        [*(source(name, i) for i, name in enumerate(("a", "b", "c", "operator"))), sink],
        background=[recorder(dut, cycles), watch(dut.d, "d")],
        limit=60 * (len(work.a) + 10) * (1 + work.array.mu // 4),
    )
    return Outcome(d=taken, cycles=cycles, counters=counters, slots=dut.slots, latency=dut.latency)


def counted(work: Work, outcome: Outcome) -> dict[str, int]:
    """The counters by their definition, from what happened on the streams."""
    counts = dict.fromkeys(COUNTERS, 0)
    is_open = False
    loaded = in_flight = gap = 0
    last_mark = -work.array.mu
    # The counters are two cycles late.
    for now, cycle in enumerate(outcome.cycles[:-2]):
        step = cycle.a_valid and cycle.a_ready
        taken = cycle.d_valid and cycle.d_ready
        loaded += cycle.c_valid and cycle.c_ready
        adds = not is_open and cycle.add
        there = cycle.a_valid and cycle.operator_valid and cycle.b_valid
        if step or is_open or in_flight:
            counts["active"] += 1
            if step:
                counts["steps"] += 1
                counts["bubbles"] += gap
            gap = 0 if step else gap + 1
        else:
            gap = 0
        if not step and (is_open or cycle.a_valid or cycle.b_valid or cycle.operator_valid):
            counts["starved_a"] += not (cycle.a_valid and cycle.operator_valid)
            counts["starved_b"] += not cycle.b_valid
            counts["starved_c"] += bool(there and adds and not loaded)
            paced = not cycle.mark or now - last_mark >= work.array.mu
            if there and paced and not (adds and not loaded):
                assert cycle.mark
                assert in_flight == outcome.slots, "a step waits for nothing"
                counts["blocked_d"] += 1
        if step:
            assert there
            assert not cycle.mark or (
                now - last_mark >= work.array.mu and in_flight < outcome.slots
            )
            assert not adds or loaded
            loaded -= bool(adds)
            is_open = not cycle.mark
            if cycle.mark:
                last_mark = now
        in_flight += bool(step and cycle.mark) - bool(taken)
    return counts
