"""Loops that fetch the same beats again and again, left to a mover's repeater."""

from __future__ import annotations

from dataclasses import replace

from ..hw.config import MoverConfig
from ..hw.registry import EXTENSIONS
from .descriptor import BufferDescriptor
from .operators import repeater

__all__ = ["replayed"]

NAME = "repeater"


def replayed(mover: MoverConfig, walk: BufferDescriptor) -> BufferDescriptor:
    """`walk` with its innermost loop fetched once, if that goes nowhere and `mover` can repeat.

    The stream is the same. The innermost loop is the first of more than one iteration; it goes
    nowhere if neither its stride nor that of a guard is other than 0. A walk through an operator
    that makes one beat of several stays as it is.
    """
    level = next((level for level, bound in enumerate(walk.bounds) if bound != 1), None)
    if NAME not in mover.extensions or NAME in walk.extensions or level is None:
        return walk
    if any(EXTENSIONS[name].reduces for name in walk.extensions):
        return walk
    steps = [walk.strides, *(guard.strides for guard in walk.guards)]
    if walk.bounds[level] == 0 or any(any(strides[level : level + 1]) for strides in steps):
        return walk
    # Where only loops inside end with a mark, every row has one, and so has each replay.
    parameter = repeater(walk.bounds[level], each=walk.mark_level < level)
    return replace(
        walk,
        bounds=(*walk.bounds[:level], 1, *walk.bounds[level + 1 :]),
        extensions=(*walk.extensions, NAME),
        parameters={**walk.parameters, NAME: parameter},
    )
