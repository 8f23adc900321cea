"""Loops that fetch the same beats again and again, left to a mover's repeater."""

from __future__ import annotations

import math
from dataclasses import replace

from ..hw.config import MAX_REPLAY_DEPTH, MoverConfig
from ..hw.extensions.repeater import repeater_parameter
from ..hw.registry import EXTENSIONS
from .descriptor import BufferDescriptor
from .operators import repeater

__all__ = ["keeps", "replay_of", "replayed"]

NAME = "repeater"


def keeps(mover: MoverConfig, length: int) -> bool:
    """Whether `mover` can give so many beats again without fetching them."""
    return NAME in mover.extensions and length <= mover.replay_depth


def replay_of(walk: BufferDescriptor) -> tuple[int, int]:
    """Of a walk through the repeater: beats of a run, and how often it is given; else 1 and 1."""
    if NAME not in walk.extensions:
        return 1, 1
    word = repeater_parameter(MAX_REPLAY_DEPTH).from_bits(walk.parameters.get(NAME, 0))
    return word.more + 1, max(word.count, 1)


def replayed(mover: MoverConfig, walk: BufferDescriptor) -> BufferDescriptor:
    """`walk` with its innermost loop that goes nowhere left to `mover`'s repeater, if it can.

    The stream is the same. A loop of more than one iteration goes nowhere if neither its stride nor
    that of a guard is other than 0; the repeater can keep what the loops inside it fetch if that is
    no more than its depth (:func:`keeps`). A walk through an operator that makes one beat of
    several stays as it is.
    """
    if NAME in walk.extensions or 0 in walk.bounds:
        return walk
    if any(EXTENSIONS[name].reduces for name in walk.extensions):
        return walk
    steps = [walk.strides, *(guard.strides for guard in walk.guards)]
    for level, bound in enumerate(walk.bounds):
        length = math.prod(walk.bounds[:level])
        if not keeps(mover, length):
            return walk
        if bound > 1 and not any(any(strides[level : level + 1]) for strides in steps):
            break
    else:
        return walk
    # Where only loops inside end with a mark, every pass has them.
    parameter = repeater(bound, length=length, each=walk.mark_level < level)
    return replace(
        walk,
        bounds=(*walk.bounds[:level], 1, *walk.bounds[level + 1 :]),
        extensions=(*walk.extensions, NAME),
        parameters={**walk.parameters, NAME: parameter},
    )
