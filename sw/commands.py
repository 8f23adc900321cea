"""What a runtime sequence is made of: small facts that say in what order things are asked for."""

from __future__ import annotations

from dataclasses import dataclass

from .descriptor import BufferDescriptor
from .locks import Acquire, Release, SetLock

__all__ = ["Command", "Push", "Token", "Wait", "WriteDescriptor"]


@dataclass(frozen=True)
class Token:
    """The mover has retired `count` of the tasks that the sequence pushed to it.

    So a token stands for its own task and all before it; one that nobody waits for costs nothing.
    """

    mover: str
    count: int

    def __str__(self) -> str:
        return f"task {self.count} of {self.mover}"


@dataclass(frozen=True)
class WriteDescriptor:
    """Put `descriptor` into a BD slot; its base counts from argument `argument`, if that is set."""

    mover: str
    slot: int
    descriptor: BufferDescriptor
    argument: int | None = None

    def __str__(self) -> str:
        return f"write BD {self.slot} of {self.mover}"


@dataclass(frozen=True)
class Push:
    """Push a task as soon as the mover's queue has room; `token` is of the task.

    `base` replaces that of the chain's first BD; it counts from argument `argument`, if that is
    set. `label` is for the reader.
    """

    token: Token
    slot: int
    repeat: int = 1
    issue_token: bool = False
    base: int | None = None
    argument: int | None = None
    label: str = ""

    @property
    def mover(self) -> str:
        return self.token.mover

    def __str__(self) -> str:
        return f"push BD {self.slot} of {self.mover} as its task {self.token.count}"


@dataclass(frozen=True)
class Wait:
    """Wait until the token's task has retired."""

    token: Token

    def __str__(self) -> str:
        return f"wait for {self.token}"


Command = WriteDescriptor | Push | Wait | Acquire | Release | SetLock
