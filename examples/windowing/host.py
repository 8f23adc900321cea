"""The host's side: the unit in its system, and the program that feeds it.

The frames overlap in the scratchpad: no sample is loaded twice, and none is copied.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import weft
from weft import RuntimeSequence
from weft.config import load_config
from weft.hw.config import AcceleratorConfig
from weft.sw import BufferDescriptor
from weft.sw.blocked import beat_bytes, consecutive
from weft.sw.device import Device
from weft.sw.locks import locked

from .unit import LANE_BITS, Windowing

__all__ = ["frames_of", "load", "make_device", "reference"]

CONFIG = Path(__file__).with_name("windowing.toml")
SAMPLE_BYTES = LANE_BITS // 8


def load() -> tuple[AcceleratorConfig, Windowing]:
    """The system, and a unit for its beats."""
    config = load_config(str(CONFIG))
    lanes = beat_bytes(config.memory, config.mover("signal")) // SAMPLE_BYTES
    return config, Windowing(lanes=lanes)


def make_device(**options: Any) -> Device:
    """The simulated system with the unit in it; `options` as of ``weft.simulate``."""
    config, unit = load()
    return weft.simulate(config, unit=unit, **options)


def frames_of(
    dev: Device, samples: npt.NDArray[np.int16], window: npt.NDArray[np.int16], hop: int
) -> npt.NDArray[np.int16]:
    """Frames of ``len(window)`` samples, `hop` apart, times `window`: [frames][len(window)].

    Both arrays lie in the device's memory, and so does the result.

    Raises
    ------
    ValueError
        A frame is no whole number of beats, `hop` no whole number of words, the signal is shorter
        than a frame, or all does not fit the scratchpad.
    """
    memory = dev.config.memory
    beat = beat_bytes(memory, dev.config.mover("signal"))
    length, step = len(window) * SAMPLE_BYTES, hop * SAMPLE_BYTES
    if length % beat:
        raise ValueError(f"a window of {len(window)} samples is no multiple of {beat} bytes")
    if hop < 1 or step % memory.word_bytes:
        raise ValueError(f"a hop of {hop} samples is no multiple of {memory.word_bytes} bytes")
    if len(samples) < len(window):
        raise ValueError(f"a signal of {len(samples)} samples has no frame of {len(window)}")
    count = (len(samples) - len(window)) // hop + 1
    out = dev.allocate((count, len(window)), np.int16)

    # The window stands in front, then the signal, then the frames, each from a whole beat on.
    at_signal = length
    at_frames = at_signal + -(-samples.nbytes // beat) * beat
    if at_frames + out.nbytes > memory.bytes:
        raise ValueError(
            f"signal, window and {count} frames take {at_frames + out.nbytes} bytes of the "
            f"scratchpad, which has {memory.bytes}"
        )

    def walk(mover: str, base: int, *loops: tuple[int, int]) -> BufferDescriptor:
        return BufferDescriptor(
            base=base,
            bounds=tuple(bound for bound, _ in loops),
            strides=tuple(stride for _, stride in loops),
            spatial_strides=consecutive(memory, dev.config.mover(mover)),
        )

    along = (length // beat, beat)
    signal = walk("signal", at_signal, along, (count, step))
    coefficients = walk("window", 0, along, (count, 0))
    products = walk("frames", at_frames, (count * along[0], beat))
    with RuntimeSequence(dev) as seq:
        signal_in, window_in = seq.lock("signal in", 0), seq.lock("window in", 0)
        frames_in = seq.lock("frames in", 0)
        seq.memcpy(window_in, 0, 1)(window, dev.scratchpad(0))
        seq.memcpy(signal_in, 0, 1)(samples, dev.scratchpad(at_signal))
        for mover, task in (
            ("signal", locked(signal, signal_in.acquire_ge(1))),
            ("window", locked(coefficients, window_in.acquire_ge(1))),
            ("frames", locked(products, release=frames_in.release(1))),
        ):
            seq.start_task(seq.configure_task(mover, [task]))
        store = seq.memcpy(frames_in, frames_in.acquire_ge(1), 0, wait=False)
        seq.dma_wait(store(dev.scratchpad(at_frames), out))
    seq.run()
    return out


def reference(
    samples: npt.NDArray[np.int16], window: npt.NDArray[np.int16], hop: int
) -> npt.NDArray[np.int16]:
    """What the frames must be, from the definition."""
    cut = np.lib.stride_tricks.sliding_window_view(np.asarray(samples), len(window))[::hop]
    exact = cut.astype(np.int64) * np.asarray(window, np.int64) / 2**15
    return np.minimum(np.floor(exact + 0.5), 2**15 - 1).astype(np.int16)
