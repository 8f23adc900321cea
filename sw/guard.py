"""Guards of a descriptor, and which of a scratchpad mover's rows they leave.

The rows of a descriptor may be too many to look at. But a guard ties together only the loops that
change it: loops that share no guard, directly or through others, can be looked at apart, and of
each such group only those index vectors that lie inside the windows. What is left is small for any
padding of a block of memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .errors import DescriptorError

__all__ = ["ExistingRows", "Guard"]

Offsets = npt.NDArray[np.int64]

MAX_COMBINATIONS = 1 << 18
"""Of loops that guards tie together."""


@dataclass(frozen=True, kw_only=True)
class Guard:
    """An affine window; what exists lies inside it for every guard of a descriptor.

    Byte i of a DRAM mover's run exists iff ``0 <= offset + sum(index * stride) + run * i < limit``.
    A scratchpad mover's channel exists iff ``0 <= offset + sum(index * stride) + coefficient * i <
    limit``, with i its index along spatial `dimension`.

    Parameters
    ----------
    offset
        Value at the first row's first byte or channel.
    limit
        Bound of the window.
    strides
        One a loop, innermost first; missing ones are 0.
    run
        1 if the value grows along the run (DRAM).
    coefficient
        What it grows by from channel to channel (scratchpad).
    dimension
        Along which spatial dimension (scratchpad).
    """

    offset: int = 0
    limit: int = 1
    strides: tuple[int, ...] = ()
    run: int = 0
    coefficient: int = 0
    dimension: int = 0


@dataclass(frozen=True)
class _Loop:
    """`guards` holds the stride of each guard."""

    bound: int
    stride: int
    guards: tuple[int, ...]


@dataclass(frozen=True)
class _Group:
    """Guards, by number, and all loops that change one of them."""

    guards: tuple[int, ...]
    loops: tuple[_Loop, ...]


class ExistingRows:
    """The rows in which a channel exists, as sums: a part from each group of loops.

    Parameters
    ----------
    mover
        Name of the mover, for errors.
    bounds, strides
        Of every loop, none of them 0 iterations.
    guards
        Of the descriptor.

    Attributes
    ----------
    free
        (bound, stride) of the loops without a guard.
    """

    def __init__(
        self, mover: str, bounds: Sequence[int], strides: Sequence[int], guards: Sequence[Guard]
    ) -> None:
        self._mover = mover
        self._guards = tuple(guards)
        self.free: list[tuple[int, int]] = []
        self._groups = [_Group((number,), ()) for number in range(len(guards))]
        # From the outside in: wide steps leave the windows first.
        for level in reversed(range(len(bounds))):
            steps = tuple(dict(enumerate(guard.strides)).get(level, 0) for guard in guards)
            loop = _Loop(bounds[level], strides[level], steps)
            if loop.bound == 1:
                continue
            if any(steps):
                self._tie(loop)
            else:
                self.free.append((loop.bound, loop.stride))
        self._known: dict[tuple[_Group, tuple[int, ...]], Offsets] = {}

    def _tie(self, loop: _Loop) -> None:
        """Make one group of those whose guards `loop` changes."""
        tied = [group for group in self._groups if any(loop.guards[g] for g in group.guards)]
        self._groups = [group for group in self._groups if group not in tied]
        self._groups.append(
            _Group(
                tuple(number for group in tied for number in group.guards),
                (*(inside for group in tied for inside in group.loops), loop),
            )
        )

    def parts(self, channel: Sequence[int]) -> list[Offsets]:
        """For the channel with these indices, what each group adds to the address.

        Distinct and ascending; the channel exists in a row for every choice of one from each, and
        in no other. One that is empty says that the channel exists nowhere.

        Raises
        ------
        DescriptorError
            A group has more than `MAX_COMBINATIONS` index vectors.
        """
        values = [
            guard.offset + guard.coefficient * channel[guard.dimension] for guard in self._guards
        ]
        parts = []
        for group in self._groups:
            starts = tuple(values[number] for number in group.guards)
            if (group, starts) not in self._known:
                self._known[group, starts] = self._walk(group, starts)
            parts.append(self._known[group, starts])
        return parts

    def _walk(self, group: _Group, starts: tuple[int, ...]) -> Offsets:
        """Address offsets of the group's index vectors inside its windows."""
        limits = np.array([self._guards[number].limit for number in group.guards], np.int64)
        steps = [[loop.guards[number] for number in group.guards] for loop in group.loops]
        spans = [
            [(loop.bound - 1) * step for step in row]
            for loop, row in zip(group.loops, steps, strict=True)
        ]
        # Columns: the address offset, then the value of each guard.
        states = np.array([[0, *starts]], np.int64)
        for level in range(len(group.loops) + 1):
            # What no choice of the other indices can bring into the windows is out.
            ahead = np.array(spans[level:], np.int64).reshape(-1, len(starts))
            lowest = states[:, 1:] + np.minimum(ahead, 0).sum(axis=0)
            highest = states[:, 1:] + np.maximum(ahead, 0).sum(axis=0)
            states = states[((highest >= 0) & (lowest < limits)).all(axis=1)]
            if level == len(group.loops):
                break
            loop = group.loops[level]
            self._check_count(len(states) * loop.bound)
            walk = np.arange(loop.bound)[:, None, None] * np.array([loop.stride, *steps[level]])
            states = np.unique((states + walk).reshape(-1, states.shape[1]), axis=0)
        return np.unique(states[:, 0])

    def _check_count(self, count: int) -> None:
        if count > MAX_COMBINATIONS:
            limit = f"they tie together loops of more than {MAX_COMBINATIONS} index vectors"
            raise DescriptorError(self._mover, "guards", count, limit)
