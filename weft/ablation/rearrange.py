"""The long way: an operand is rearranged in the scratchpad, and the array's mover reads the result.

What A (or B) would walk on its own, the reader of the pass walks instead, once; the writer puts the
beats one behind the other. So the pass is the transposition of an operand where the reader's
transposer turns its beats, and an im2col where it walks an image.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ..hw.config import AcceleratorConfig
from ..sw.blocked import beat_bytes, consecutive, contiguous
from ..sw.descriptor import BufferDescriptor
from ..sw.resident import Task
from .systems import READER, WRITER

__all__ = ["Rearranged", "rearrange"]


@dataclass(frozen=True, kw_only=True)
class Rearranged:
    """A pass over an operand, and what is left to the array's mover.

    Parameters
    ----------
    tasks
        Of the writer and of the reader, in the order in which to push them.
    stream
        What the array's mover walks instead.
    nbytes
        Scratchpad that it takes.
    """

    tasks: tuple[Task, Task]
    stream: BufferDescriptor
    nbytes: int


def rearrange(
    config: AcceleratorConfig, walk: BufferDescriptor, *, base: int, mode: int, label: str
) -> Rearranged:
    """Put the beats of `walk` one behind the other from `base` on.

    Beats that a loop of `walk` fetches again, because no stride of it moves, are written once and
    fetched again from there.
    """
    memory, reader, writer = config.memory, config.mover(READER), config.mover(WRITER)
    beat = beat_bytes(memory, reader)
    once, strides, nbytes = [], [], beat
    for level, bound in enumerate(walk.bounds):
        moves = walk.strides[level] or any(guard.strides[level] for guard in walk.guards)
        strides.append(nbytes if moves else 0)
        if moves:
            once.append(level)
            nbytes *= bound

    def kept(values: Sequence[int]) -> tuple[int, ...]:
        return tuple(values[level] for level in once)

    read = replace(
        walk,
        bounds=kept(walk.bounds),
        strides=kept(walk.strides),
        guards=tuple(replace(guard, strides=kept(guard.strides)) for guard in walk.guards),
        mark_level=0,
        operator=0,
        route=(WRITER,),
    )
    assert math.prod(read.bounds) * beat == nbytes
    write = contiguous(memory, writer, base=base, length=nbytes)
    stream = replace(
        walk,
        base=base,
        strides=tuple(strides),
        spatial_strides=consecutive(memory, reader),
        mode=mode,
        guards=(),
        extensions=(),
    )
    return Rearranged(
        tasks=(
            Task(mover=WRITER, descriptor=replace(write, mode=mode, route=(READER,)), label=label),
            Task(mover=READER, descriptor=read, label=label),
        ),
        stream=stream,
        nbytes=nbytes,
    )
