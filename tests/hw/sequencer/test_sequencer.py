import random
from typing import Any

import pytest

from support.program_bench import LOCKS, MOVERS, Bench, program_config
from weft.hw.bus.axi import Response
from weft.hw.bus.opcodes import Opcode, StopCode, instruction
from weft.sw.words import ProgramWords

CONFIG = program_config()
BASE = 0x1_0000
RECORD = 0x2_0020
NAMES = [mover.name for mover in CONFIG.movers]
FETCH_ERRORS = (StopCode.FETCH_SLVERR, StopCode.FETCH_DECERR)


def word(op: int, target: int = 0, arg: int = 0, imm: int = 0) -> int:
    return instruction().const({"op": op, "target": target, "arg": arg, "imm": imm}).as_bits()


def check(bench: Bench) -> None:
    """Play, and compare everything that can be seen with the golden model."""
    golden = bench.golden()
    assert golden is not None, "the program does not end"
    steps, player = golden
    bench.play()
    assert len(bench.results) == bench.runs
    for result, events in zip(bench.results, bench.events, strict=True):
        stop, code = steps[-1], player.code
        if bench.fault_at is not None and result["status"]["code"] == StopCode.MOVER:
            # A mover may fail at any time: what was done until then is a beginning of the whole.
            code = StopCode.MOVER
            fault = [e for e in events[-3:] if e.effect[0] == "read" and e.effect[1] == 2]
            assert len(fault) == 3
            events = events[:-3]
            stop = next(
                step
                for index, step in enumerate(steps)
                if sum(len(_done(s)) for s in steps[: index + 1]) >= len(events)
                and step.position == result["position"]
            )
        compare(steps, [event for event in events], partial=code == StopCode.MOVER)
        assert result["status"]["code"] == code
        assert result["status"]["busy"] == 0
        assert (result["status"]["done"], result["status"]["error"]) == (
            code == StopCode.NONE,
            code != StopCode.NONE,
        )
        assert result["position"] == stop.position
        if code not in (*FETCH_ERRORS, StopCode.MOVER):
            assert result["status"]["op"] == stop.op
        assert [failed for _, failed in result["interrupts"]] == [code != StopCode.NONE]
        if bench.record:
            record = result["record"]
            assert record["status"] == (1 if code == StopCode.NONE else 2)
            assert record["code"] == code
            assert record["position"] == result["position"]
            assert record["cycles"] == result["cycles"]
            assert record["first_error"] == (
                1 | 1 << 8 | 7 << 16 if code == StopCode.MOVER else record["first_error"]
            )


def _done(step: Any) -> list[Any]:
    return [effect for effect in step.effects if effect[0] != "wait"]


def compare(steps: list[Any], events: list[Any], *, partial: bool) -> None:
    expected = [effect for step in steps for effect in step.effects]
    seen = iter(events)
    waits: list[tuple[int, int]] = []
    count = 0
    for effect in expected:
        if effect[0] == "wait":
            waits.append(effect[1:])
            continue
        event = next(seen, None)
        if event is None:
            assert partial, f"{effect} was not done"
            break
        count += 1
        assert event.effect == effect
        for mover, tasks in waits:
            assert event.retired[mover] >= tasks, "a wait was cut short"
    assert count == len(events), "more was done than asked"


class Generator:
    """Random programs, most of them good."""

    def __init__(self, seed: int, *, flaws: bool) -> None:
        self.random = random.Random(seed)
        self.words = ProgramWords(CONFIG)
        self.pushed = dict.fromkeys(NAMES, 0)
        self.flaws = flaws

    def program(self) -> list[int]:
        self.block(self.random.randint(1, 25), counter=0, factor=1)
        if self.flaws and self.random.random() < 0.6:
            self.flaw()
        self.words.end()
        return self.words.words

    def block(self, size: int, counter: int, factor: int) -> None:
        for _ in range(size):
            if counter < 4 and self.random.random() < 0.1:
                start, iterations = self.words.position, self.random.randint(1, 4)
                self.block(self.random.randint(1, 4), counter + 1, factor * iterations)
                self.words.loop(counter, iterations, start)
            else:
                self.one(factor)

    def one(self, factor: int) -> None:
        draw, words = self.random, self.words
        page = draw.choice(["system", *NAMES])
        offset, value = 4 * draw.randrange(0x1FFE), draw.getrandbits(32)
        mover, lock = draw.choice(NAMES), draw.randrange(LOCKS)
        task = {"slot": draw.randrange(4), "repeat": draw.randint(1, 256)}
        match draw.choice(list(Opcode)[1:-1]):
            case Opcode.WRITE:
                words.write(page, offset, value)
            case Opcode.MASKED_WRITE:
                words.masked_write(page, offset, value, draw.getrandbits(32))
            case Opcode.BLOCK_WRITE:
                count = min(draw.randint(1, 7), (0x8000 - offset) // 4)
                words.block_write(page, offset, [draw.getrandbits(32) for _ in range(count)])
            case Opcode.ARG:
                words.argument(page, offset, draw.randrange(3), draw.getrandbits(64))
            case Opcode.PUSH:
                words.push(mover, **task, interrupt=draw.random() < 0.5)
                self.pushed[mover] += factor
            case Opcode.PUSH_AT:
                argument = draw.choice([None, 0, 1, 2])
                words.push_at(mover, **task, base=draw.getrandbits(64), argument=argument)
                self.pushed[mover] += factor
            case Opcode.WAIT:
                words.wait(mover, draw.randint(0, self.pushed[mover] // factor))
            case Opcode.ACQUIRE:
                words.acquire(lock, draw.randrange(64), draw.random() < 0.5)
            case Opcode.RELEASE:
                words.release(lock, draw.randint(-64, 63))
            case Opcode.SET_LOCK:
                words.set_lock(lock, draw.randrange(64))

    def flaw(self) -> None:
        """A word of which some field is, most likely, impossible."""
        draw = self.random
        self.words.words.append(
            word(
                draw.choice([*Opcode, *Opcode, 12, 0x80]),
                draw.choice([0, 1, MOVERS, MOVERS + 1, LOCKS, 200]),
                draw.choice([0, 0, 4, 0x7FF8, 0x7FFC, 2, 0x8000]),
                draw.choice([0, 1, 3, 63, 64, 0x13F, 0x20000, 0xFFFFFFC0, 0xFFFFFFBF, 1 << 24]),
            )
        )
        self.words.words.append(draw.choice([0, 0, draw.getrandbits(64)]))


def programs(seed: int, **changes: Any) -> Bench:
    """A bench with a program that ends."""
    draw = random.Random(seed)
    while True:
        program = Generator(draw.getrandbits(32), flaws=True).program()
        errors = {}
        if draw.random() < 0.2:
            width = draw.choice([Response.SLVERR, Response.DECERR])
            data_bytes = changes["config"].dma.data_bytes
            at = BASE + 8 * draw.randrange(len(program) + 4)
            errors[at // data_bytes * data_bytes] = width
        bench = Bench(
            program=program,
            base=BASE + 64 * draw.randrange(64),
            arguments=[draw.getrandbits(64) for _ in range(3)],
            errors=errors,
            record=draw.choice([0, RECORD, RECORD + 32]),
            refused=frozenset({4 * draw.randrange(0x1FFE)} if draw.random() < 0.5 else ()),
            seed=seed,
            **changes,
        )
        if bench.golden() is not None:
            return bench


BUSES = [(64, 4), (64, 64), (128, 16), (256, 8), (512, 4)]


@pytest.mark.parametrize("seed", range(20))
def test_random_programs(seed: int) -> None:
    draw = random.Random(seed)
    data_bits, fetch_beats = BUSES[seed % len(BUSES)]
    burst_beats = draw.choice([4, 16])
    config = program_config(data_bits, fetch_beats, burst_beats=burst_beats)
    check(
        programs(
            seed,
            config=config,
            stall=draw.choice([0, 0.3, 0.9]),
            bus_stall=draw.choice([0, 0.3, 0.7]),
            latency=draw.choice([(0, 0), (0, 30), (20, 20)]),
            runs=draw.choice([1, 1, 2]),
        )
    )
