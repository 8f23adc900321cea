"""Why a replay stands still: who waits for whom, as a sentence."""

from __future__ import annotations

from collections.abc import Iterator

from .commands import Push, Wait
from .locks import Acquire, Release, SetLock
from .replay import Replay
from .replay_mover import ReplayedMover

__all__ = ["explain"]


def explain(replay: Replay) -> list[str]:
    """A sentence for the sequence if it stands still; else one for each task that never ends."""
    if not replay.done:
        links = _Explanation(replay).sequence()
        return [f"deadlock: {'; '.join(links)}"]
    movers = {mover.name: mover for mover, _ in replay.unfinished()}
    return [
        f"deadlock: the sequence ends, but {'; '.join(_Explanation(replay).mover(mover))}"
        for mover in movers.values()
    ]


class _Explanation:
    """Follows what waits for what, each once."""

    def __init__(self, replay: Replay) -> None:
        self.replay = replay
        self._told: set[object] = set()

    def sequence(self) -> Iterator[str]:
        """What the next command waits for."""
        replay, command = self.replay, self.replay.commands[self.replay.position]
        if not self._tell("sequence"):
            return
        text = f"the sequence waits at command {replay.position}, {command}"
        if isinstance(command, Push):
            queue = replay.movers[command.mover].queue
            yield f"{text}, for room in the queue, which holds {queue.level} of {queue.depth} tasks"
            yield from self.mover(replay.movers[command.mover])
        elif isinstance(command, Wait):
            mover = replay.movers[command.token.mover]
            if any(task.number == command.token.count for task in mover.queue):
                yield text
                yield from self.mover(mover)
            else:
                yield f"{text}, which is not pushed before"
        elif isinstance(command, Acquire):
            yield f"{text}, but the lock is {replay.value(command.lock.index)}"
            yield from self.lock(command.lock.index)

    def mover(self, mover: ReplayedMover) -> Iterator[str]:
        """What a mover waits for."""
        task = mover.queue.running
        if not self._tell(mover.name):
            return
        if task is None:
            yield f"{mover.name} has no task"
            if not self.replay.done:
                yield from self.sequence()
            return
        who = f"{mover.name} (task {task.number}, BD {mover.slot})"
        gate = mover.gate
        if mover.left is None and gate is not None:
            lock = gate.lock.index
            condition = gate.condition.replace(str(gate.lock), self.replay.name(lock), 1)
            yield f"{who} waits for lock {condition}, which is {self.replay.value(lock)}"
            yield from self.lock(lock)
            return
        verb = "room in" if mover.is_source else "data from"
        for other in self.replay.streams.absent(mover):
            yield f"{who} waits for {verb} {other.name}"
            yield from self.mover(other)

    def lock(self, lock: int) -> Iterator[str]:
        """Who might release a lock."""
        if not self._tell(lock):
            return
        name, replay = self.replay.name(lock), self.replay
        movers = [mover for mover in replay.movers.values() if self._releases(mover, lock)]
        ahead = [
            command
            for command in replay.commands[replay.position :]
            if isinstance(command, Release | SetLock) and command.lock.index == lock
        ]
        if not movers and not ahead:
            yield f"nobody who is left releases {name}"
            return
        for mover in movers:
            yield f"{mover.name} releases {name} later"
            yield from self.mover(mover)
        if ahead:
            yield f"the sequence would {ahead[0]} later"
            yield from self.sequence()

    def _releases(self, mover: ReplayedMover, lock: int) -> bool:
        """Whether a task that has not retired does, that it waits for or not."""
        slots = {slot for task in mover.queue for slot in mover.chain(task.slot)[0]}
        walks = [mover.slots[slot][0] for slot in slots if slot in mover.slots]
        return any(walk.release_delta and walk.release_id == lock for walk in walks)

    def _tell(self, what: object) -> bool:
        """Whether it is new."""
        new = what not in self._told
        self._told.add(what)
        return new
