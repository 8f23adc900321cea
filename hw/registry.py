"""The stream operators that a mover can be given by name.

Adding one is one file with its class and one entry here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from math import isqrt
from typing import Any

__all__ = ["EXTENSIONS", "ExtensionKind"]


@dataclass(frozen=True, kw_only=True)
class ExtensionKind:
    """What a configuration and a descriptor must know of an operator.

    Parameters
    ----------
    beats
        ``module:Class`` below ``weft.hw`` of the operator on the marked beats of a ``read`` mover,
        an :class:`~weft.hw.extensions.extension.Extension`.
    bytes
        The same for the dense bytes between a source and the switch, see
        :mod:`weft.hw.dma.operators`.
    parameter_bits
        Width of its parameter in a descriptor; 0 is none. See
        :meth:`~weft.hw.config.MoverConfig.parameter_bits`.
    replays
        Whether it gives runs of up to the mover's ``replay_depth`` beats again, and its parameter
        has the bits more that say of how many.
    reduces
        Whether it gives one beat for each marked group.
    result
        Whether it finds something, for the record of the task.
    takes
        Whether a beat of so many bytes can go through it.
    shape
        Which beats those are, in words.
    """

    beats: str = ""
    bytes: str = ""
    parameter_bits: int = 0
    replays: bool = False
    reduces: bool = False
    result: bool = False
    takes: Callable[[int], bool] = lambda beat_bytes: True
    shape: str = ""

    @staticmethod
    def load(place: str) -> Any:
        """The class at `place`."""
        module, name = place.split(":")
        return getattr(import_module(f".{module}", __package__), name)


def _whole_longs(beat_bytes: int) -> bool:
    return beat_bytes % 8 == 0


EXTENSIONS: dict[str, ExtensionKind] = {
    "transposer": ExtensionKind(
        beats="extensions.transposer:Transposer",
        takes=lambda beat_bytes: isqrt(beat_bytes) ** 2 == beat_bytes,
        shape="a square tile of bytes",
    ),
    "broadcaster": ExtensionKind(beats="extensions.broadcaster:Broadcaster"),
    "repeater": ExtensionKind(
        beats="extensions.repeater:Repeater", parameter_bits=17, replays=True
    ),
    "add_constant": ExtensionKind(
        beats="extensions.add_constant:AddConstant",
        bytes="dma.operators.add_constant:AddConstant",
        parameter_bits=32,
        takes=_whole_longs,
        shape="a multiple of 8 bytes",
    ),
    "elementwise_add": ExtensionKind(
        beats="extensions.elementwise_add:ElementwiseAdd",
        parameter_bits=2,
        reduces=True,
        takes=_whole_longs,
        shape="a multiple of 8 bytes",
    ),
    "max_pool": ExtensionKind(beats="extensions.max_pool:MaxPool", reduces=True),
    "crc32c": ExtensionKind(bytes="dma.operators.crc32c:Crc32c", parameter_bits=32, result=True),
    "compare": ExtensionKind(bytes="dma.operators.compare:Compare", parameter_bits=32, result=True),
    "xor": ExtensionKind(bytes="dma.operators.xor:Xor", parameter_bits=32),
}
