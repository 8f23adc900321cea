import random
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from amaranth.back import verilog

from support.program_bench import LOCKS, MOVERS, Bench, program_config
from weft.hw.bus.axi import Response
from weft.hw.bus.opcodes import Opcode, StopCode, instruction
from weft.hw.bus.registers import DESCRIPTOR_STORE, RegisterMap
from weft.hw.errors import ConfigError
from weft.hw.sequencer import Sequencer
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
        if bench.fault_at is not None:
            # Of a mover that has failed, be it while the program ended, three registers are read.
            fault = [e for e in events[-3:] if e.effect[0] == "read" and e.effect[1] == 2]
            if len(fault) == 3:
                events = events[:-3]
            if result["status"]["code"] == StopCode.MOVER:
                # It may fail at any time: what was done until then is a beginning of the whole.
                assert len(fault) == 3
                code = StopCode.MOVER
                stop = _stopped(steps, len(events), result["position"])
        compare(steps, events, partial=code == StopCode.MOVER)
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


def _stopped(steps: list[Any], done: int, position: int) -> Any:
    """The step at `position` of which some part, or nothing, is among the first `done` effects."""
    before = 0
    for step in steps:
        own = sum(effect[0] != "wait" for effect in step.effects)
        if step.position == position and before <= done <= before + own:
            return step
        before += own
    raise AssertionError(f"stopped at {position} after {done} effects")


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
            seed=seed,
            **changes,
        )
        golden = bench.golden()
        if golden is None:
            continue
        accesses = [e for step in golden[0] for e in step.effects if e[0] in ("write", "read")]
        if accesses and draw.random() < 0.3:
            bench.refused = frozenset({draw.choice(accesses)[2]})
        if bench.golden() is not None:
            return bench


BUSES = [(64, 4), (64, 64), (128, 16), (256, 8), (512, 4)]


@pytest.mark.parametrize("seed", range(12))
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


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(12, 1012))
def test_many_random_programs(seed: int) -> None:
    test_random_programs(seed)


@pytest.mark.parametrize("seed", range(5))
def test_a_mover_fails_at_any_time(seed: int) -> None:
    draw = random.Random(seed)
    bench = programs(
        seed,
        config=program_config(*BUSES[seed % len(BUSES)]),
        stall=draw.choice([0, 0.5]),
        latency=(0, draw.choice([0, 20])),
        fault_at=draw.randint(0, 120),
    )
    check(bench)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(5, 205))
def test_movers_fail_at_many_times(seed: int) -> None:
    test_a_mover_fails_at_any_time(seed)


def test_a_fault_ends_what_waits_for_ever() -> None:
    for blocked in ("push", "acquire", "wait"):
        words = ProgramWords(CONFIG)
        words.write("system", 0, 1)
        at = words.position
        match blocked:
            case "push":
                words.push("P0", 0)
            case "acquire":
                words.acquire(1, 1)
            case "wait":
                words.wait("P0", 1)
        words.end()
        bench = Bench(config=CONFIG, program=words.words, record=RECORD, fault_at=60, blocked=True)
        bench.play()
        (result,) = bench.results
        assert result["status"]["code"] == StopCode.MOVER
        assert result["position"] == at
        assert result["record"]["status"] == 2
        # The registers of mover 1, as the bench's pages have them.
        page = RegisterMap(CONFIG).page("P1")
        names = ("ERROR", "FAULT_LOW", "FAULT_HIGH")
        held = [2 << 24 | page.register(name).offset for name in names]
        assert result["record"]["fault"] == held[0]
        assert result["record"]["fault_address"] == held[1] | held[2] << 32
        kinds = [event.effect[0] for event in bench.events[0]]
        assert kinds == ["write", "read", "read", "read"]


@pytest.mark.parametrize("seed", range(6))
def test_a_soft_reset_at_any_time_leaves_a_sequencer_that_works(seed: int) -> None:
    draw = random.Random(seed)
    check(
        programs(
            seed,
            config=program_config(*BUSES[seed % len(BUSES)]),
            stall=draw.choice([0, 0.5, 0.9]),
            bus_stall=draw.choice([0, 0.5]),
            latency=(0, draw.choice([0, 60])),
            reset_at=draw.randint(0, 100),
        )
    )


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(6, 206))
def test_soft_resets_at_many_times(seed: int) -> None:
    test_a_soft_reset_at_any_time_leaves_a_sequencer_that_works(seed)


def play(build: Callable[[ProgramWords], None], **changes: Any) -> Bench:
    """A bench after a program of which all is checked."""
    config = changes.pop("config", CONFIG)
    words = ProgramWords(config)
    build(words)
    words.end()
    bench = Bench(config=config, program=words.words, work=(0, 0), **changes)
    check(bench)
    return bench


def gaps(bench: Bench) -> set[int]:
    cycles = [event.cycle for event in bench.events[0]]
    return {b - a for a, b in pairwise(cycles)}


STORE = DESCRIPTOR_STORE


@pytest.mark.parametrize(
    ("op", "cycles", "bus"),
    [
        ("release", 1, (64, 128)),
        ("release", 1, (128, 64)),
        ("release", 1, (512, 32)),
        ("push", 1, (512, 32)),
        ("push_at", 2, (64, 128)),
        ("push_at", 1, (128, 128)),
        ("push_at", 1, (512, 32)),
        ("mixed", 1, (256, 64)),
        ("register", 2, (64, 128)),
        ("slot", 1, (64, 128)),
        ("block", 1, (64, 128)),
        ("blocks", 1, (512, 32)),
    ],
)
def test_cycles_of_an_instruction_at_latency_100(op: str, cycles: int, bus: Any) -> None:
    count = 300

    def build(words: ProgramWords) -> None:
        for index in range(count):
            match op:
                case "release":
                    words.release(index % LOCKS, 1)
                case "push":
                    words.push("P0", 0)
                case "push_at":
                    words.push_at(NAMES[index % 2], 0, index, argument=1)
                case "mixed" if index % 3:
                    words.release(0, 1)
                case "mixed":
                    words.push_at("P0", 0, index)
                case "register":
                    words.write("P1", 8, index)
                case "slot":
                    words.write("P1", STORE, index)
                case "blocks" if index % 5 == 0:
                    words.block_write("P2", STORE + 4 * index, range(5))
        if op == "block":
            words.block_write("P2", STORE, range(count))

    bench = play(build, config=program_config(*bus), latency=(100, 100))
    assert gaps(bench) == {cycles}
    assert len(bench.events[0]) == count


def test_cycles_of_the_others() -> None:
    def build(words: ProgramWords) -> None:
        for _ in range(4):
            words.set_lock(0, 1)
            words.acquire(0, 1)
            words.wait("P0", 0)
            words.masked_write("P0", 0, 1, 1)
            words.argument("P0", STORE, 0)
            words.loop(0, 1, words.position)

    bench = play(build, config=program_config(128, 64))
    kinds = [event.effect[0] for event in bench.events[0]]
    cycles = [event.cycle for event in bench.events[0]]
    assert kinds[:7] == ["set", "acquire", "read", "write", "write", "write", "set"]
    # A wait, of three, between acquire and read; the answer and what is made of it; nothing behind
    # an access to a register; and the loop, of two, behind an answer.
    assert [b - a for a, b in pairwise(cycles[:7])] == [2, 4, 3, 2, 1, 4]


@pytest.mark.parametrize("offset", [8, STORE])
def test_what_is_no_access_waits_for_the_answer_to_one(offset: int) -> None:
    def build(words: ProgramWords) -> None:
        for _ in range(4):
            words.write("P1", offset, 1)
            words.push("P0", 0)
            words.write("P1", offset, 1)
            words.release(0, 1)

    bench = play(build, config=program_config(128, 64))
    cycles = [event.cycle for event in bench.events[0]]
    assert [b - a for a, b in pairwise(cycles)] == [2, 1] * 7 + [2]


@pytest.mark.parametrize("offset", [8, STORE + 8])
@pytest.mark.parametrize("following", ["push", "write", "end"])
def test_nothing_follows_an_access_that_is_refused(offset: int, following: str) -> None:
    def build(words: ProgramWords) -> None:
        words.write("P1", offset - 4, 1)
        words.block_write("P1", offset, [2, 3])
        match following:
            case "push":
                words.push("P0", 0)
            case "write":
                words.write("P1", STORE, 4)

    # The answer of either half comes when the next instruction is there.
    for refused, done in ((offset, 2), (offset + 4, 3)):
        bench = play(build, config=program_config(128, 64), refused=frozenset({refused}))
        (result,) = bench.results
        assert result["status"]["code"] == StopCode.REGISTER
        assert (result["position"], result["status"]["op"]) == (1, Opcode.BLOCK_WRITE)
        assert len(bench.events[0]) == done


@pytest.mark.parametrize("bus", [(64, 16), (128, 16), (512, 8)])
@pytest.mark.parametrize("start", range(4))
def test_a_jump_to_any_word(bus: Any, start: int) -> None:
    def build(words: ProgramWords) -> None:
        for _ in range(start):
            words.set_lock(0, 1)
        words.release(1, 1)
        words.push_at("P0", 0, 0x1234)
        words.loop(0, 2, start)
        words.release(2, 1)

    bench = play(build, config=program_config(*bus))
    assert len(bench.events[0]) == start + 5


def test_the_first_fetch_and_a_jump() -> None:
    def build(words: ProgramWords) -> None:
        words.release(0, 1)
        words.loop(0, 3, 0)

    bench = play(build)
    assert bench.fetch.raised[0] - bench.rung == 3
    cycles = [event.cycle for event in bench.events[0]]
    assert cycles[0] - bench.rung == 8
    # A loop begins in the cycle after the release and jumps in the next; its AR is raised two
    # cycles later, if there is no other, and its words come when those in flight have.
    assert all(cycle + 4 in bench.fetch.raised for cycle in cycles[:2])
    assert all(10 <= gap <= 9 + CONFIG.sequencer.fetch_beats for gap in gaps(bench))


def test_a_block_ends_with_its_page() -> None:
    for offset, count in ((0x7FFC, 1), (0x7FF8, 2), (0x7FFC, 2), (0x7FF8, 3), (0, 0), (0, 8193)):
        check(_block(offset, count))
    for count in (0x2000, 0x3FFF, 0x4000, 0x4001, 1 << 31, (1 << 32) - 1):
        check(_block(0x7FFC, count))


def _block(offset: int, count: int) -> Bench:
    program = [word(Opcode.BLOCK_WRITE, 1, offset, count), 1 << 32 | 2, 3, word(Opcode.END)]
    return Bench(config=CONFIG, program=[*program[: 1 + (count + 1) // 2], program[-1]])


@pytest.mark.parametrize("beyond", [0, 1])
def test_a_loop_goes_back_to_the_first_word_and_not_further(beyond: int) -> None:
    def build(words: ProgramWords) -> None:
        words.push_at("P0", 0, 0x1234)
        words.words.append(word(Opcode.LOOP, 0, 2 + beyond, 2))

    bench = play(build)
    (result,) = bench.results
    assert result["status"]["code"] == (StopCode.BAD_ARGUMENT if beyond else StopCode.NONE)
    assert (result["position"], len(bench.events[0])) == ((2, 1) if beyond else (3, 2))


def test_a_wait_sees_a_retirement_three_cycles_after_it_shows() -> None:
    def build(words: ProgramWords) -> None:
        words.push("P0", 0)
        words.wait("P0", 1)
        words.release(0, 1)

    bench = play(build)
    push, release = (event.cycle for event in bench.events[0])
    # The bench retires it in the cycle after the push.
    assert release - push == 4


def test_a_wait_behind_a_wait_that_is_over_waits_for_its_own_count() -> None:
    words = ProgramWords(CONFIG)
    words.push("P0", 0)
    words.push("P1", 0)
    words.wait("P1", 0)
    words.wait("P0", 1)
    words.release(0, 1)
    words.end()
    bench = Bench(config=CONFIG, program=words.words, work=(40, 40))
    check(bench)
    push, _, release = (event.cycle for event in bench.events[0])
    # Three cycles after the retirement shows, as any WAIT.
    assert release - push == 44


def test_doorbells_and_records_that_cannot_be() -> None:
    end = [word(Opcode.END)]
    for changes, code in (
        ({"base": BASE + 8}, StopCode.PROGRAM_ADDRESS),
        ({"base": BASE + 1, "record": RECORD}, StopCode.PROGRAM_ADDRESS),
        ({"record": RECORD + 8}, StopCode.RECORD_ADDRESS),
        ({"record": RECORD, "record_error": Response.SLVERR}, StopCode.RECORD_SLVERR),
        ({"record": RECORD, "record_error": Response.DECERR}, StopCode.RECORD_DECERR),
    ):
        bench = Bench(config=CONFIG, program=end, **changes)
        bench.play()
        (result,) = bench.results
        assert result["status"]["code"] == code
        assert result["status"]["error"]
        assert [failed for _, failed in result["interrupts"]] == [True]
        written = bool(bench.store.writes)
        assert written == (changes.get("record", 1) == RECORD)
        if code == StopCode.PROGRAM_ADDRESS and written:
            assert result["record"]["code"] == code
            assert not bench.fetch.reads


def test_addresses_beyond_the_bus_are_refused() -> None:
    config = replace(CONFIG, dma=replace(CONFIG.dma, address_bits=32))
    for changes, code in (
        ({"base": 1 << 32}, StopCode.PROGRAM_ADDRESS),
        ({"record": 1 << 40}, StopCode.RECORD_ADDRESS),
    ):
        bench = Bench(config=config, program=[word(Opcode.END)], **changes)
        bench.play()
        assert bench.results[0]["status"]["code"] == code
        assert not bench.fetch.reads


def test_a_program_that_runs_off_the_bus_ends() -> None:
    config = replace(CONFIG, dma=replace(CONFIG.dma, address_bits=32))
    bench = Bench(config=config, program=[word(Opcode.RELEASE, 0, 0, 1)] * 8, base=2**32 - 64)
    bench.play()
    (result,) = bench.results
    assert (result["status"]["code"], result["position"]) == (StopCode.FETCH_DECERR, 8)
    assert len(bench.events[0]) == 8


def test_a_doorbell_while_a_program_runs_is_remembered_and_not_heard() -> None:
    words = ProgramWords(CONFIG)
    words.push("P0", 0)
    words.wait("P0", 1)
    words.end()
    bench = Bench(config=CONFIG, program=words.words, work=(50, 50), again_at=20, runs=2)
    bench.play()
    assert [result["status"]["refused"] for result in bench.results] == [1, 0]
    assert [len(events) for events in bench.events] == [1, 1]


def test_a_configuration_without_a_sequencer_is_refused() -> None:
    with pytest.raises(ConfigError, match="sequencer = None: must be given"):
        Sequencer(config=replace(CONFIG, sequencer=None))


def test_verilog() -> None:
    assert "module sequencer" in verilog.convert(Sequencer(config=CONFIG), name="sequencer")
