from pathlib import Path

import pytest
from amaranth.hdl import Cat, Module, Signal
from amaranth.sim import Simulator

from weft.hw.agu import BankMap
from weft.hw.config import AcceleratorConfig, MemoryConfig
from weft.sim.golden import agu as golden

CONFIGS = Path(__file__).parents[3] / "configs"


def places(memory: MemoryConfig) -> list[list[int]]:
    """The hardware's place (row x banks + bank) of every word, for every mode."""
    m = Module()
    word = Signal(range(memory.banks * memory.rows))
    mode = Signal(range(max(len(memory.groups), 2)))
    banks = BankMap(memory=memory)
    bank, row = banks.place(banks.lift(word, mode), mode)
    assert (len(bank), len(row)) == (
        (memory.banks - 1).bit_length(),
        (memory.rows - 1).bit_length(),
    )
    place = Signal(len(word))
    m.d.comb += place.eq(Cat(bank, row))
    result = []

    async def step(ctx):
        for index in range(len(memory.groups)):
            ctx.set(mode, index)
            result.append([])
            for number in range(memory.banks * memory.rows):
                ctx.set(word, number)
                result[index].append(ctx.get(place))

    sim = Simulator(m)
    sim.add_testbench(step)
    sim.run()
    return result


def wanted(memory: MemoryConfig, group: int) -> list[int]:
    found = (golden.locate(memory, word, group) for word in range(memory.banks * memory.rows))
    return [row * memory.banks + bank for bank, row in found]


@pytest.mark.parametrize(
    "memory",
    [
        MemoryConfig(banks=2, bank_bits=16, rows=2, groups=(2,)),
        MemoryConfig(banks=2, bank_bits=64, rows=8, groups=(1, 2)),
        MemoryConfig(banks=8, bank_bits=32, rows=4, groups=(8, 4, 2, 1)),
        MemoryConfig(banks=16, bank_bits=64, rows=2, groups=(4, 16, 2)),
        AcceleratorConfig.from_toml(CONFIGS / "tiny.toml").memory,
        AcceleratorConfig.from_toml(CONFIGS / "datamaestro.toml").memory,
    ],
    ids=lambda memory: f"{memory.banks}x{memory.rows}-{'-'.join(map(str, memory.groups))}",
)
def test_every_mode_is_a_bijection_and_the_golden_one(memory: MemoryConfig) -> None:
    for group, got in zip(memory.groups, places(memory), strict=True):
        assert got == wanted(memory, group), f"groups of {group}"
        assert sorted(got) == list(range(memory.banks * memory.rows)), f"groups of {group}"


def test_a_mode_beyond_the_groups_acts_as_mode_0() -> None:
    memory = MemoryConfig(banks=4, bank_bits=16, rows=2, groups=(4, 2, 1))
    m = Module()
    word = Signal(3)
    place = Signal(3)
    banks, mode = BankMap(memory=memory), Signal(2, init=3)
    m.d.comb += place.eq(Cat(*banks.place(banks.lift(word, mode), mode)))

    async def step(ctx):
        for number, expected in enumerate(wanted(memory, 4)):
            ctx.set(word, number)
            assert ctx.get(place) == expected

    sim = Simulator(m)
    sim.add_testbench(step)
    sim.run()


@pytest.mark.parametrize(
    ("group", "word", "bank", "row"),
    [
        (32, 33, 1, 1),
        (16, 33, 1, 2),
        (8, 33, 1, 4),
        (1, 33, 0, 33),
        (8, 4096, 8, 0),
        (1, 512, 1, 0),
    ],
)
def test_the_golden_model_by_hand(group: int, word: int, bank: int, row: int) -> None:
    assert golden.locate(MemoryConfig(), word, group) == (bank, row)
