"""The example: movers around a unit that is no GeMM."""

import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from examples.windowing.host import frames_of, load, make_device, reference
from examples.windowing.unit import LANE_BITS, Windowing
from support.bench import collect, feed, run, stalls, watch
from weft.generate import generate
from weft.hw.accelerator import Accelerator
from weft.hw.bus.streams import compute_beat
from weft.hw.errors import ConfigError
from weft.hw.top import Top
from weft.sw.device import Device

EXTREMES = (-(1 << 15), -1, 0, 1, (1 << 15) - 1)


def q15(a: int, b: int) -> int:
    """The product of two Q1.15 numbers: to the nearest, ties up, and saturated."""
    return min((2 * a * b + (1 << 15)) // (1 << 16), (1 << 15) - 1)


def packed(numbers: list[int]) -> int:
    return sum((number % (1 << LANE_BITS)) << LANE_BITS * i for i, number in enumerate(numbers))


@pytest.mark.parametrize("stall", [0.0, 0.5, 0.9])
def test_the_unit(stall: float) -> None:
    toss, dut, count = random.Random(stall), Windowing(lanes=2), 60
    pairs = [([toss.choice(EXTREMES), toss.randint(-(1 << 15), 32767)],) * 2 for _ in range(5)]
    pairs += [
        ([toss.choice(EXTREMES) for _ in range(2)], [toss.choice(EXTREMES) for _ in range(2)])
        for _ in range(count - 5)
    ]
    flags = [(toss.getrandbits(1), toss.getrandbits(1), toss.getrandbits(1)) for _ in pairs]

    def beat(numbers: list[int], mark: int, end: int, error: int) -> dict[str, int]:
        return {"data": packed(numbers), "mark": mark, "end": end, "error": error}

    given = []

    async def signal(ctx):
        beats = [beat(a, *flag) for (a, _), flag in zip(pairs, flags, strict=True)]
        await feed(ctx, dut.signal, beats, stalls(stall, "signal"))

    async def window(ctx):
        beats = [beat(b, 0, 0, 0) for _, b in pairs]
        await feed(ctx, dut.window, beats, stalls(stall, "window"))

    async def frames(ctx):
        given[:] = await collect(ctx, dut.frames, count, stalls(stall, "frames"))

    run(dut, [signal, window, frames], background=[watch(dut.frames)])
    for (a, b), flag, out in zip(pairs, flags, given, strict=True):
        assert out.data == packed([q15(x, y) for x, y in zip(a, b, strict=True)])
        assert (out.mark, out.end, out.error) == flag


@pytest.fixture(scope="module")
def dev() -> Device:
    return make_device(engine="python", backpressure=0.3, latency=20)


@pytest.mark.parametrize(("samples", "length", "hop"), [(200, 32, 8), (150, 48, 52)])
def test_frames_are_exact(dev: Device, samples: int, length: int, hop: int) -> None:
    dev.reset()
    toss = np.random.default_rng(samples)
    signal, window = dev.allocate(samples, np.int16), dev.allocate(length, np.int16)
    signal[:] = toss.integers(-(2**15), 2**15, samples)
    window[:] = toss.integers(-(2**15), 2**15, length)
    out = frames_of(dev, signal, window, hop)
    np.testing.assert_array_equal(out, reference(signal, window, hop))
    # Every sample was fetched once, however many frames it is in.
    bytes_in = sum(-(-count * 2 // 32) * 32 for count in (samples, length))
    assert dev.counters()["Y"]["accesses"] * dev.config.memory.word_bytes == bytes_in
    assert dev.stats.host_copies == 0


def test_bad_frames_are_refused(dev: Device) -> None:
    signal, window = dev.allocate(64, np.int16), dev.allocate(32, np.int16)
    for arguments, text in (
        ((signal, window[:10], 4), "a window of 10 samples"),
        ((signal, window, 3), "a hop of 3 samples"),
        ((window[:16], window, 4), "a signal of 16 samples has no frame of 32"),
        ((dev.allocate(40_000, np.int16), window, 4), "of the scratchpad, which has 65536"),
    ):
        with pytest.raises(ValueError, match=text):
            frames_of(dev, *arguments)


def test_a_unit_must_fit_its_movers() -> None:
    config, unit = load()
    right = stream.Signature(compute_beat(256))
    for members, text in (
        ({"speech": In(right)}, r"unit\.speech .*bound to export is: signal, window, frames"),
        ({"signal": Out(right)}, r"unit\.signal .*must be In\("),
        ({"window": In(stream.Signature(compute_beat(128)))}, r"unit\.window .*must be In\("),
        ({"X": In(right)}, r"unit\.X .*bound to export is"),
    ):
        with pytest.raises(ConfigError, match=text):
            Accelerator(config, unit=wiring.PureInterface(wiring.Signature(members)))
    assert not [name for name in Top(config, unit=unit).signature.members if "axis" in name]
    part = wiring.PureInterface(wiring.Signature({"signal": In(right)}))
    assert sorted(
        {n.split("_")[2] for n in Top(config, unit=part).signature.members if "axis" in n}
    ) == [
        "frames",
        "window",
    ]


@pytest.mark.soak
def test_its_verilog(tmp_path: Path) -> None:
    config, unit = load()
    generate(config, tmp_path, unit=unit)
    text = (tmp_path / "weft.v").read_text()
    assert "module \\weft.accelerator.unit " in text
    assert "axis" not in (tmp_path / "README.txt").read_text()


@pytest.mark.soak
def test_the_command() -> None:
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-m", "examples.windowing", "--samples", "256", "--length", "64"],
        cwd=root,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith("4 frames of 64: exact")
