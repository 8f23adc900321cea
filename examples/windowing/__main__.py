"""Overlapping frames of a random signal times a Hann window, on the RTL, checked."""

import argparse
from pathlib import Path

import numpy as np

from weft.generate import generate
from weft.hw.errors import WeftError
from weft.sw.blocked import beat_bytes

from .host import frames_of, load, make_device, reference


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m examples.windowing", description=__doc__)
    parser.add_argument("--samples", type=int, default=2048)
    parser.add_argument("--length", type=int, default=256, help="samples in a frame")
    parser.add_argument("--hop", type=int, default=64, help="samples from a frame to the next")
    parser.add_argument("--engine", default="python", choices=("python", "verilator"))
    parser.add_argument("--verilog", type=Path, metavar="DIR", help="write Verilog instead")
    options = parser.parse_args()
    if options.verilog is not None:
        config, unit = load()
        for path in generate(config, options.verilog, unit=unit):
            print(path)
        return 0

    dev = make_device(engine=options.engine)
    samples = dev.allocate(options.samples, np.int16)
    window = dev.allocate(options.length, np.int16)
    samples[:] = np.random.default_rng(0).integers(-(2**15), 2**15, options.samples)
    window[:] = np.round(np.hanning(options.length) * (2**15 - 1))
    try:
        out = frames_of(dev, samples, window, options.hop)
    except (ValueError, WeftError) as error:
        parser.error(str(error))
    exact = np.array_equal(out, reference(samples, window, options.hop))
    beats = out.nbytes // beat_bytes(dev.config.memory, dev.config.mover("frames"))
    print(
        f"{out.shape[0]} frames of {out.shape[1]}: {'exact' if exact else 'WRONG'}, {beats} beats"
    )
    for name, counts in dev.counters().items():
        print(name, ", ".join(f"{what} {count}" for what, count in counts.items()))
    return 0 if exact else 1


if __name__ == "__main__":
    raise SystemExit(main())
