"""Extensions and chains of them against what they mean."""

import random
from typing import Any

import numpy as np
import pytest
from amaranth.back import verilog

from support.operators import operate
from weft.hw.config import MoverConfig
from weft.hw.extensions import Chain
from weft.hw.registry import EXTENSIONS
from weft.sim.golden.extensions import EXTENDED, extended
from weft.sim.golden.tasks import Beat
from weft.sw.operators import repeater

BEATS = {name: kind for name, kind in EXTENSIONS.items() if kind.beats}
SEEDS = [pytest.param(seed, marks=pytest.mark.soak if seed >= 2 else ()) for seed in range(20)]


def chain(
    names: list[str], bounds: tuple[int, ...] = (8,), word_bits: int = 64, replay_depth: int = 1
) -> Chain:
    mover = MoverConfig(
        name="A",
        kind="read",
        bind="export",
        spatial_bounds=bounds,
        extensions=tuple(names),
        replay_depth=replay_depth,
    )
    made = {name: EXTENSIONS[name].load(BEATS[name].beats) for name in names}
    return Chain(extensions={name: made[name].of_mover(mover, word_bits) for name in names})


def random_bd(toss: random.Random, width: int) -> list[Beat]:
    """Groups of a few beats; the last beat has a mark."""
    beats = []
    sizes = [toss.randint(1, 4) for _ in range(toss.randint(1, 4))]
    for number, size in enumerate(sizes):
        for place in range(size):
            data = np.frombuffer(toss.randbytes(width), np.uint8)
            if toss.random() < 0.3:
                data = np.array([toss.choice([0, 127, 128, 255]) for _ in range(width)], np.uint8)
            mark = place == size - 1
            end = mark and number == len(sizes) - 1
            beats.append(Beat(data, mark, end, toss.random() < 0.1))
    return beats


def random_parameter(toss: random.Random, name: str, replay_depth: int = 1) -> int:
    bits = BEATS[name].parameter_bits
    if name == "repeater":
        length = toss.randint(1, replay_depth)
        return toss.choice([0, 1, 2, 3, 5]) | toss.getrandbits(1) << 16 | length - 1 << 17
    return toss.getrandbits(bits) if bits else 0


def payload(beat: Beat) -> dict[str, int]:
    return {
        "data": int.from_bytes(beat.data.tobytes(), "little"),
        "mark": int(beat.mark),
        "end": int(beat.end),
        "error": int(beat.error),
    }


def as_payload(beat: Any) -> dict[str, int]:
    return {name: beat[name] for name in ("data", "mark", "end", "error")}


def setting(name: str, enable: int, parameter: int) -> dict[str, int]:
    return {"enable": enable} | ({"parameter": parameter} if BEATS[name].parameter_bits else {})


def check(
    dut: Chain, bds: list[list[Beat]], settings: list[dict[str, tuple[int, int]]], copies: int, toss
) -> list[int]:
    """Every BD goes through what its setting says; when beats came out."""
    names = list(dut.extensions)
    expected = [
        beat
        for bd, chosen in zip(bds, settings, strict=True)
        for beat in extended(
            bd, [(name, chosen[name][1]) for name in names if chosen[name][0]], copies
        )
    ]
    inputs = [(dut.i, [payload(beat) for bd in bds for beat in bd])]
    for name in names:
        inputs.append((getattr(dut, name), [setting(name, *chosen[name]) for chosen in settings]))
    (taken,), (times,) = operate(dut, inputs, [(dut.o, len(expected))], toss=toss)
    assert [as_payload(beat) for beat in taken] == [payload(beat) for beat in expected]
    return times


def test_every_extension_has_a_meaning():
    assert set(EXTENDED) == set(BEATS)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", list(BEATS))
def test_one(name, seed):
    toss = random.Random(repr((name, seed)))
    bounds, word = toss.choice([((8,), 64), ((4, 2), 64), ((4,), 32), ((4, 4), 8)])
    bounds, word = (
        ((4,), 32) if name == "transposer" and bounds == (8,) and seed % 2 else (bounds, word)
    )
    depth = toss.choice([2, 4, 8]) if name == "repeater" and seed else 1
    dut = chain([name], bounds, word, depth)
    width = next(iter(dut.extensions.values())).width // 8
    bds = [random_bd(toss, width) for _ in range(8)]
    settings = [{name: (toss.choice([0, 1, 1]), random_parameter(toss, name, depth))} for _ in bds]
    check(dut, bds, settings, bounds[-1], toss)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_chain_of_all_in_any_order(seed):
    """BDs with settings of their own follow each other through it."""
    toss = random.Random(seed)
    names = toss.sample(list(BEATS), len(BEATS))
    dut = chain(names, (4, 4), 32, replay_depth=4)
    bds = [random_bd(toss, 64) for _ in range(12)]
    settings = [
        {name: (toss.getrandbits(1), random_parameter(toss, name, 4)) for name in names}
        for _ in bds
    ]
    check(dut, bds, settings, 4, toss)


@pytest.mark.parametrize("name", list(BEATS))
def test_a_beat_a_cycle(name):
    """On the side that has more of them, and without a bubble between BDs, bypassed or not."""
    toss = random.Random(name)
    dut = chain([name], (4,), 32)
    bds = [random_bd(toss, 16) for _ in range(8)]
    settings = [{name: (number % 3 != 1, 2)} for number in range(len(bds))]
    times = check(dut, bds, settings, 4, None)
    # The last BD is a bypassed one in none of them, so its last beat is the last of both sides.
    taken = sum(
        len(bd) * (2 if name == "repeater" and chosen[name][0] else 1)
        for bd, chosen in zip(bds, settings, strict=True)
    )
    assert times[-1] == taken - 1 + dut.extensions[name].cut


def test_runs_are_replayed_without_a_bubble():
    """A beat a cycle, as long as one comes in each cycle in which one is taken."""
    toss = random.Random(3)
    dut = chain(["repeater"], (4,), 32, replay_depth=8)
    settings, bds = [], []
    for length, count in [(8, 3), (1, 4), (5, 2), (8, 1), (3, 7), (2, 2)]:
        beats = [
            Beat(np.frombuffer(toss.randbytes(16), np.uint8), n % 2 == 1, False)
            for n in range(2 * length)
        ]
        beats[-1] = Beat(beats[-1].data, True, True)
        bds.append(beats)
        settings.append({"repeater": (1, repeater(count, length=length, each=length == 3))})
    times = check(dut, bds, settings, 4, None)
    counts = [parameter & 0xFFFF for setting in settings for _, parameter in setting.values()]
    total = sum(len(bd) * count for bd, count in zip(bds, counts, strict=True))
    assert times == list(range(total))


def test_nothing_passes_before_its_setting():
    dut = chain(["transposer"], (4,), 32)
    toss = random.Random(1)
    bds = [random_bd(toss, 16) for _ in range(6)]
    for enabled in (0, 1):
        check(dut, bds, [{"transposer": (enabled, 0)}] * 6, 4, toss)
        dut = chain(["transposer"], (4,), 32)


def test_it_converts_to_verilog():
    dut = chain(list(BEATS), (4, 4), 32, replay_depth=8)
    ports = [dut.i, dut.o, *(getattr(dut, name) for name in BEATS)]
    values = [s for p in ports for s in (p.payload.as_value(), p.valid, p.ready)]
    assert "module" in verilog.convert(dut, ports=values, name="chain")


@pytest.mark.parametrize(
    ("name", "bounds", "word", "message"),
    [
        ("transposer", (4,), 64, "a beat of 256 bits is no square tile of bytes"),
        ("transposer", (3,), 8, "no square"),
    ],
)
def test_shapes_that_do_not_fit(name, bounds, word, message):
    with pytest.raises(ValueError, match=message):
        chain([name], bounds, word)


def test_a_chain_has_extensions_of_one_width():
    first, second = chain(["transposer"], (4,), 32), chain(["max_pool"], (2,), 32)
    with pytest.raises(ValueError, match="one width"):
        Chain(extensions=first.extensions | second.extensions)
    with pytest.raises(ValueError, match="one width"):
        Chain(extensions={})
