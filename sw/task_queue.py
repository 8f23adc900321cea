"""A mover's task queue, as far as its depth goes."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from .errors import QueueFullError

__all__ = ["Task", "TaskQueue"]


@dataclass(frozen=True, kw_only=True)
class Task:
    """An entry: the chain that begins at BD `slot`, `repeat` times.

    Parameters
    ----------
    number
        Of the mover's tasks, from 1.
    base, argument
        Base in place of the first BD's, as :class:`~weft.sw.commands.Push` has it.
    origin
        What pushed it, for messages.
    """

    number: int
    slot: int
    repeat: int = 1
    base: int | None = None
    argument: int | None = None
    origin: int = 0


class TaskQueue:
    """In order; the running task has left its place in the queue.

    Parameters
    ----------
    depth
        Tasks that wait, the running one excluded.
    """

    def __init__(self, depth: int) -> None:
        self.depth = depth
        self.running: Task | None = None
        self._waiting: deque[Task] = deque()

    @property
    def level(self) -> int:
        """Tasks that wait."""
        return len(self._waiting)

    @property
    def room(self) -> bool:
        """Whether a push is taken."""
        return self.level < self.depth

    def __iter__(self) -> Iterator[Task]:
        """Every task that has not retired, oldest first."""
        if self.running is not None:
            yield self.running
        yield from self._waiting

    def push(self, task: Task) -> None:
        """Raises `QueueFullError` if there is no room."""
        if not self.room:
            raise QueueFullError(f"the queue holds {self.level} of {self.depth} tasks")
        self._waiting.append(task)
        self._start()

    def retire(self) -> None:
        """The running task ends; the next one starts."""
        self.running = None
        self._start()

    def _start(self) -> None:
        if self.running is None and self._waiting:
            self.running = self._waiting.popleft()
