"""Loops that fetch the same beats again and again, left to a mover's repeater."""

from __future__ import annotations

import math
from dataclasses import replace

from ..hw.config import MoverConfig
from ..hw.registry import EXTENSIONS
from .descriptor import BufferDescriptor
from .operators import repeater

__all__ = ["replayed"]

NAME = "repeater"


def replayed(mover: MoverConfig, walk: BufferDescriptor) -> BufferDescriptor:
    """`walk` with its innermost loop that goes nowhere left to `mover`'s repeater, if it can.

    The stream is the same. A loop of more than one iteration goes nowhere if neither its stride nor
    that of a guard is other than 0; the repeater can keep what the loops inside it fetch if that is
    no more than its depth. A walk through an operator that makes one beat of several stays as it
    is.
    """
    if NAME not in mover.extensions or NAME in walk.extensions or 0 in walk.bounds:
        return walk
    if any(EXTENSIONS[name].reduces for name in walk.extensions):
        return walk
    steps = [walk.strides, *(guard.strides for guard in walk.guards)]
    for level, bound in enumerate(walk.bounds):
        length = math.prod(walk.bounds[:level])
        if length > mover.replay_depth:
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
