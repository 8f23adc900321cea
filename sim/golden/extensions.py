"""What the extensions of a read mover mean, on the beats of one BD."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from .operators import add_constant
from .tasks import Beat

__all__ = ["EXTENDED", "extended"]

Bytes = npt.NDArray[np.uint8]
SIZES = ("<u1", "<u2", "<u4", "<u8")


def _transposer(beats: Sequence[Beat], parameter: int, copies: int) -> Iterator[Beat]:
    for beat in beats:
        side = round(beat.data.size**0.5)
        tile = beat.data.reshape(side, side).T
        yield _with(beat, np.ascontiguousarray(tile).reshape(-1))


def _broadcaster(beats: Sequence[Beat], parameter: int, copies: int) -> Iterator[Beat]:
    for beat in beats:
        yield _with(beat, np.tile(beat.data[: beat.data.size // copies], copies))


def _repeater(beats: Sequence[Beat], parameter: int, copies: int) -> Iterator[Beat]:
    """Runs of so many beats, the last of which may be shorter, again and again."""
    count, each, length = parameter & 0xFFFF, bool(parameter >> 16 & 1), (parameter >> 17) + 1
    for start in range(0, len(beats), length):
        for left in reversed(range(max(count, 1))):
            last = left == 0
            for beat in beats[start : start + length]:
                yield Beat(beat.data, beat.mark and (each or last), beat.end and last, beat.error)


def _add_constant(beats: Sequence[Beat], parameter: int, copies: int) -> Iterator[Beat]:
    size, constant = 1 << (parameter & 3), (parameter >> 2 ^ 1 << 29) - (1 << 29)
    for beat in beats:
        added = add_constant(beat.data.tobytes(), size, constant)
        yield _with(beat, np.frombuffer(added, np.uint8))


def _elementwise_add(beats: Sequence[Beat], parameter: int, copies: int) -> Iterator[Beat]:
    kind = SIZES[parameter]
    for group in _groups(beats):
        total = np.sum([beat.data.view(kind).astype(object) for beat in group], axis=0)
        yield _one(group, (total % (1 << 8 * np.dtype(kind).itemsize)).astype(kind).view(np.uint8))


def _max_pool(beats: Sequence[Beat], parameter: int, copies: int) -> Iterator[Beat]:
    for group in _groups(beats):
        largest = np.max([beat.data.view(np.int8) for beat in group], axis=0)
        yield _one(group, largest.view(np.uint8))


EXTENDED: dict[str, Callable[[Sequence[Beat], int, int], Iterator[Beat]]] = {
    "transposer": _transposer,
    "broadcaster": _broadcaster,
    "repeater": _repeater,
    "add_constant": _add_constant,
    "elementwise_add": _elementwise_add,
    "max_pool": _max_pool,
}


def extended(
    beats: Sequence[Beat], extensions: Sequence[tuple[str, int]], copies: int
) -> list[Beat]:
    """The beats of a BD behind `extensions`, each with its parameter, in their order.

    `copies` is the mover's outermost spatial bound.
    """
    for name, parameter in extensions:
        beats = list(EXTENDED[name](beats, parameter, copies))
    return list(beats)


def _groups(beats: Sequence[Beat]) -> Iterator[list[Beat]]:
    """From one mark to the next."""
    group: list[Beat] = []
    for beat in beats:
        group.append(beat)
        if beat.mark or beat.end:
            yield group
            group = []
    assert not group, "a BD ends with a mark"


def _with(beat: Beat, data: Bytes) -> Beat:
    return Beat(data, beat.mark, beat.end, beat.error)


def _one(group: Sequence[Beat], data: Bytes) -> Beat:
    last = group[-1]
    return Beat(data, last.mark, last.end, any(beat.error for beat in group))
