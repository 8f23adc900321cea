"""The builder against the fields of the words that it appends."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from support.pages import named_config
from weft.hw.bus.opcodes import Opcode, instruction
from weft.hw.bus.registers import DESCRIPTOR_STORE, SLOT_BYTES, RegisterError, RegisterMap
from weft.hw.config import SequencerConfig
from weft.hw.errors import ConfigError
from weft.sw.errors import ProgramWordError
from weft.sw.words import ProgramWords

CONFIG = replace(named_config("tiny"), sequencer=SequencerConfig(arguments=5))
LOCKS = CONFIG.locks
A, X = (1 + [mover.name for mover in CONFIG.movers].index(name) for name in "AX")


def built(build: Callable[[ProgramWords], None]) -> list[int]:
    words = ProgramWords(CONFIG)
    build(words)
    return words.words


def fields(word: int) -> tuple[int, ...]:
    view = instruction().from_bits(word)
    return view.op, view.target, view.arg, view.imm


@pytest.mark.parametrize(
    ("build", "head", "payload"),
    [
        (lambda w: w.end(), (Opcode.END, 0, 0, 0), []),
        (lambda w: w.write("system", 8, 2**32 - 1), (Opcode.WRITE, 0, 8, 2**32 - 1), []),
        (lambda w: w.masked_write("X", 4, 5, 7), (Opcode.MASKED_WRITE, X, 4, 5), [7]),
        (
            lambda w: w.block_write("X", 0x4000, [1, 2, 3]),
            (Opcode.BLOCK_WRITE, X, 0x4000, 3),
            [1 | 2 << 32, 3],
        ),
        (
            lambda w: w.write_slot("X", 3, [1, 2]),
            (Opcode.BLOCK_WRITE, X, DESCRIPTOR_STORE + 3 * SLOT_BYTES, 2),
            [1 | 2 << 32],
        ),
        (lambda w: w.argument("X", 12, 4, -1), (Opcode.ARG, X, 12, 4), [2**64 - 1]),
        (
            lambda w: w.push("X", 15, repeat=256, interrupt=True),
            (Opcode.PUSH, X, 0, 15 | 255 << 8 | 1 << 16),
            [],
        ),
        (lambda w: w.push_at("X", 1, 2**64 - 1), (Opcode.PUSH_AT, X, 0, 1), [2**64 - 1]),
        (lambda w: w.push_at("A", 1, -8), (Opcode.PUSH_AT, A, 0, 1), [2**64 - 8]),
        (
            lambda w: w.push_at("X", 1, -8, argument=4),
            (Opcode.PUSH_AT, X, 0, 1 | 1 << 31 | 4 << 24),
            [2**64 - 8],
        ),
        (lambda w: w.wait("X", 7), (Opcode.WAIT, X, 0, 7), []),
        (lambda w: w.acquire(2, 63), (Opcode.ACQUIRE, 2, 0, 63), []),
        (lambda w: w.acquire(2, 0, equal=True), (Opcode.ACQUIRE, 2, 0, 256), []),
        (lambda w: w.release(LOCKS - 1, -64), (Opcode.RELEASE, LOCKS - 1, 0, 2**32 - 64), []),
        (lambda w: w.set_lock(0, 63), (Opcode.SET_LOCK, 0, 0, 63), []),
        (lambda w: w.loop(3, 9, 0), (Opcode.LOOP, 3, 0, 9), []),
    ],
)
def test_an_instruction_and_its_payload(build, head, payload) -> None:
    words = built(build)
    assert fields(words[0]) == head
    assert words[1:] == payload


def test_registers_by_name_loops_by_position_and_little_endian_bytes() -> None:
    words = ProgramWords(CONFIG)
    words.write("X", "BASE_LOW", 1)
    start = words.position
    words.push_at("X", 0, 0)
    words.loop(0, 3, start)
    assert fields(words.words[0])[2] == RegisterMap(CONFIG).page("X").register("BASE_LOW").offset
    assert (start, fields(words.words[3])[2]) == (1, 2)
    assert words.to_bytes()[:2] == bytes([Opcode.WRITE, X])
    assert len(words.to_bytes()) == 8 * words.position


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (
            lambda w: w.write("X", 0, 2**32),
            r"WRITE: value = 4294967296: must be from 0 to 42949672",
        ),
        (lambda w: w.write("X", 2, 0), "WRITE: offset = 2: must be a multiple of 4"),
        (lambda w: w.write("X", 0x8000, 0), "WRITE: offset = 32768"),
        (lambda w: w.write("sequencer", 0, 0), "WRITE: page = sequencer"),
        (lambda w: w.masked_write("X", 0, 0, -1), "MASKED_WRITE: mask = -1"),
        (lambda w: w.block_write("X", 0, []), r"BLOCK_WRITE: len\(values\) = 0: .* from 1"),
        (lambda w: w.block_write("X", 0x7FFC, [1, 2]), r"len\(values\) = 2: must be from 1 to 1"),
        (lambda w: w.block_write("X", 0, [1, -2]), "BLOCK_WRITE: value = -2"),
        (lambda w: w.argument("X", 0, 5), "ARG: index = 5: must be from 0 to 4"),
        (lambda w: w.argument("X", 0x7FFC, 0), "ARG: offset = 32764"),
        (lambda w: w.argument("X", 0, 0, 2**64), "ARG: addend = 18446744073709551616"),
        (lambda w: w.push("X", 16), "PUSH: slot = 16: must be from 0 to 15"),
        (lambda w: w.push("X", 0, repeat=257), "PUSH: repeat = 257: must be from 1 to 256"),
        (lambda w: w.push("system", 0), "PUSH: mover = system: must be one of A, B"),
        (lambda w: w.push_at("X", 0, -1), "PUSH_AT: base = -1"),
        (lambda w: w.push_at("X", 0, 0, argument=5), "PUSH_AT: argument = 5"),
        (lambda w: w.wait("X", 2**32), "WAIT: count"),
        (lambda w: w.wait("Z", 1), "WAIT: mover = Z"),
        (lambda w: w.acquire(LOCKS, 1), f"ACQUIRE: lock = {LOCKS}"),
        (lambda w: w.acquire(0, 64), "ACQUIRE: value = 64: must be from 0 to 63"),
        (lambda w: w.release(0, 64), "RELEASE: delta = 64: must be from -64 to 63"),
        (lambda w: w.set_lock(-1, 0), "SET_LOCK: lock = -1"),
        (lambda w: w.set_lock(0, 64), "SET_LOCK: value = 64"),
        (lambda w: w.loop(4, 1, 0), "LOOP: counter = 4: must be from 0 to 3"),
        (lambda w: w.loop(0, 0, 0), "LOOP: iterations = 0"),
        (lambda w: w.loop(0, 2, 1), "LOOP: to = 1: must be from 0 to 0"),
    ],
)
def test_what_an_instruction_cannot_carry_is_refused(build, message: str) -> None:
    words = ProgramWords(CONFIG)
    with pytest.raises(ProgramWordError, match=message):
        build(words)
    assert words.words == []


def test_names_that_do_not_exist() -> None:
    words = ProgramWords(CONFIG)
    with pytest.raises(RegisterError, match="no page 'Z'"):
        words.write("Z", 0, 0)
    with pytest.raises(RegisterError, match="no register 'NOTHING'"):
        words.write("X", "NOTHING", 0)
    with pytest.raises(ConfigError, match="a program needs one"):
        ProgramWords(replace(CONFIG, sequencer=None))
