"""Rows with gaps become beats: filled first, by their meaning, and then rearranged."""

import random

import numpy as np
import pytest

from support.operators import operate
from weft.hw.config import MemoryConfig, MoverConfig
from weft.hw.registry import EXTENSIONS
from weft.hw.streamer.gather import Gather
from weft.sim.golden.extensions import extended
from weft.sim.golden.tasks import Beat

MEMORY = MemoryConfig(banks=4, bank_bits=32, rows=16, groups=(4,))
SEEDS = [pytest.param(seed, marks=pytest.mark.soak if seed >= 2 else ()) for seed in range(20)]


@pytest.mark.parametrize("names", [(), ("transposer",), ("broadcaster", "transposer")])
@pytest.mark.parametrize("seed", SEEDS)
def test_gather(names, seed):
    toss = random.Random(repr((names, seed)))
    mover = MoverConfig(
        name="A", kind="read", bind="export", spatial_bounds=(2, 2), extensions=names
    )
    kinds = {name: EXTENSIONS[name] for name in names}
    orders = {
        name: kind.load(kind.beats).order_of(mover, MEMORY.word_bytes)
        for name, kind in kinds.items()
    }
    dut = Gather(memory=MEMORY, channels=mover.channels, orders=orders)
    rows, expected, settings = [], [], []
    for _ in range(12):
        chosen = {name: toss.getrandbits(1) for name in names}
        pad, length, beats = toss.getrandbits(8), toss.randint(1, 5), []
        for place in range(length):
            given = [toss.random() < 0.7 for _ in range(mover.channels)]
            words = [toss.randbytes(MEMORY.word_bytes) for _ in given]
            mark, error = toss.getrandbits(1), toss.getrandbits(1)
            rows.append(
                {
                    "words": [
                        {"valid": int(valid), "data": int.from_bytes(word, "little")}
                        for valid, word in zip(given, words, strict=True)
                    ],
                    "pad": pad,
                    "mark": mark,
                    "end": int(place == length - 1),
                    "error": error,
                }
            )
            filled = b"".join(
                word if valid else bytes([pad]) * len(word)
                for valid, word in zip(given, words, strict=True)
            )
            data = np.frombuffer(filled, np.uint8)
            beats.append(Beat(data, bool(mark), place == length - 1, bool(error)))
        expected += extended(
            beats, [(name, 0) for name in names if chosen[name]], mover.spatial_bounds[-1]
        )
        settings.append(chosen)
    inputs = [(dut.i, rows)] + [
        (getattr(dut, name), [{"enable": chosen[name]} for chosen in settings]) for name in names
    ]
    (taken,), _ = operate(dut, inputs, [(dut.o, len(expected))], toss=toss)
    for beat, wanted in zip(taken, expected, strict=True):
        assert beat["data"] == int.from_bytes(wanted.data.tobytes(), "little")
        assert (beat["mark"], beat["end"], beat["error"]) == (wanted.mark, wanted.end, wanted.error)
