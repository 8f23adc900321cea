"""The streams of a replay: what moves between movers, and through the array, without buffers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..hw.config import ARRAY_PORTS, SWITCH, ArrayConfig
from ..hw.gemm import array_operator
from .replay_mover import ReplayedMover

__all__ = ["ReplayedStreams"]


class ReplayedStreams:
    """Moves bytes where every end of a stream has an execution that wants them.

    Parameters
    ----------
    movers
        By name.
    array
        If there is one.
    slow
        Name of the mover that others do not move with: it moves with them when its turn comes.
    """

    def __init__(
        self, movers: Mapping[str, ReplayedMover], array: ArrayConfig | None, slow: str | None
    ) -> None:
        self.movers = movers
        self.array = array
        self.slow = slow
        self._owed = 0

    def ends(self, mover: ReplayedMover) -> list[ReplayedMover]:
        """Source and sinks of the mover's stream; none if it leaves the system.

        With the array they are its operands and results, of which only A and B always count. On the
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
            ports = self._ports()
            if ports["array.a"].queue.running is None:
                return list(ports.values())
            wanted = self._wanted(ports["array.a"])
            return [end for port, end in ports.items() if port in wanted or end is mover]
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

    def _ports(self) -> dict[str, ReplayedMover]:
        """The array's movers by its ports."""
        assert self.array is not None
        bound = {mover.config.bind: mover for mover in self.movers.values()}
        return {port: bound[port] for port in self.array.ports}

    def _wanted(self, a: ReplayedMover) -> set[str]:
        """The ports that take part in what A's mover does."""
        word = array_operator().from_bits(a.descriptor.operator)
        wanted = {"array.a", "array.b"}
        if word.c_present:
            wanted.add("array.c")
        if word.e_wanted:
            wanted |= {"array.e", "array.s"}
        if word.d_too or not word.e_wanted:
            wanted.add("array.d")
        return wanted

    def _array(self) -> list[ReplayedMover]:
        """Steps of the array: a beat of A and B each, one of C before and of D after every sum.

        Or one of E after it, for which S gives the parameters.
        """
        assert self.array is not None
        ports = self._ports()
        a, b = ports["array.a"], ports["array.b"]
        moved: list[ReplayedMover] = []
        if not (a.moves() and b.moves()):
            return moved
        wanted = self._wanted(a)
        if self._owed == 0:
            if "array.c" in wanted:
                c = ports["array.c"]
                if not c.moves():
                    return moved
                c.take(c.beat)
                moved.append(c)
            rows, marked = a.rows()
            self._owed = rows // marked
        # What moves with the last step of a sum, and how many bytes of it.
        last = [
            (ports[port], self.array.beat_bits(port) // 8)
            for port in ("array.d", "array.e", "array.s")
            if port in wanted
        ]
        steps = min(self._owed, a.beats, b.beats)
        if steps == self._owed and not all((end.left or 0) >= size for end, size in last):
            steps -= 1
        if steps == 0:
            return moved
        self._owed -= steps
        if self._owed == 0:
            for end, size in last:
                end.take(size)
                moved.append(end)
        for operand in (a, b):
            operand.take(steps * operand.beat)
            moved.append(operand)
        return moved
