"""The streams of a replay: what moves between movers, and through the array, without buffers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from ..hw.config import ARRAY_PORTS, SWITCH
from .replay_mover import ReplayedMover

__all__ = ["ReplayedStreams"]


class ReplayedStreams:
    """Moves bytes where every end of a stream has an execution that wants them.

    Parameters
    ----------
    movers
        By name.
    slow
        Name of the mover that others do not move with: it moves with them when its turn comes.
    """

    def __init__(self, movers: Mapping[str, ReplayedMover], slow: str | None) -> None:
        self.movers = movers
        self.slow = slow
        self._owed = 0

    def ends(self, mover: ReplayedMover) -> list[ReplayedMover]:
        """Source and sinks of the mover's stream; none if it leaves the system.

        With the array they are its operands and its result, C only where it is wanted. On the
        switch they are whom the source's BD names, present or not; a BD that is compared is a sink
        of the other one.
        """
        bind = mover.config.bind
        if bind == SWITCH:
            source = mover
            if not mover.is_source:
                source = self.movers[mover.descriptor.route[0]]
                if not source.queue.running or mover.name not in source.descriptor.route:
                    return [source, mover]
            return [source, *(self.movers[name] for name in source.descriptor.route)]
        if bind in ARRAY_PORTS:
            a, b, c, d = self._operands()
            without_c = a.queue.running is not None and not a.descriptor.operator & 1
            return [a, b, d] if without_c and mover is not c else [a, b, c, d]
        other = self.movers.get(bind)
        if other is None:
            return []
        return [mover, other] if mover.config.is_source else [other, mover]

    def move(self, mover: ReplayedMover) -> list[ReplayedMover]:
        """Move what can move of the stream of `mover`; the movers that did."""
        ends = self.ends(mover)
        if not ends:
            mover.left = 0
            return [mover]
        if mover.name != self.slow and any(end.name == self.slow for end in ends):
            return []
        if mover.config.bind in ARRAY_PORTS:
            return self._array()
        if not all(self._there(end, ends) for end in ends):
            return []
        source, *sinks = ends
        for sink in sinks:
            if sink.compares:  # it takes the longer of the two to its end
                sink.left = max(sink.left or 0, source.left or 0)
        moved = min(end.left or 0 for end in ends)
        for end in ends:
            end.take(moved)
        if source.left == 0:
            for sink in sinks:
                # A source that ends inside a beat ends the beat.
                sink.take((sink.left or 0) if sink.compares else (sink.left or 0) % sink.beat)
        return ends

    def absent(self, mover: ReplayedMover) -> list[ReplayedMover]:
        """The other ends of the mover's stream that it waits for."""
        ends = self.ends(mover)
        return [end for end in ends if end is not mover and not self._there(end, ends)]

    def _there(self, end: ReplayedMover, ends: Sequence[ReplayedMover]) -> bool:
        """Whether one of the `ends` of a stream has bytes to move, and to move there."""
        if not end.moves() or end.config.bind != SWITCH:
            return end.moves()
        source, *sinks = ends
        others = sinks if end is source else [source]
        if end.is_source != (end is source):
            return False
        return set(end.descriptor.route) == {other.name for other in others}

    def _operands(self) -> Sequence[ReplayedMover]:
        """The array's movers in the order of its ports."""
        bound = {mover.config.bind: mover for mover in self.movers.values()}
        return [bound[port] for port in ARRAY_PORTS]

    def _array(self) -> list[ReplayedMover]:
        """Steps of the array: a beat of A and B each, one of C before and of D after every sum."""
        a, b, c, d = self._operands()
        moved: list[ReplayedMover] = []
        if not (a.moves() and b.moves()):
            return moved
        if self._owed == 0:
            if a.descriptor.operator & 1:
                if not c.moves():
                    return moved
                c.take(c.beat)
                moved.append(c)
            self._owed = math.prod(a.descriptor.bounds[: a.descriptor.mark_level + 1])
        steps = min(self._owed, a.beats, b.beats)
        if steps == self._owed and not d.moves():
            steps -= 1
        if steps == 0:
            return moved
        self._owed -= steps
        if self._owed == 0:
            d.take(d.beat)
            moved.append(d)
        for operand in (a, b):
            operand.take(steps * operand.beat)
            moved.append(operand)
        return moved
