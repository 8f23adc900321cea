"""What the host knows of one mover: slots that it has written, tasks that it has pushed."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from ..hw.config import MoverConfig
from ..hw.mover.descriptor import Descriptor
from .descriptor import BufferDescriptor

__all__ = ["COUNTER", "Ledger", "reached"]

COUNTER = 1 << 32
"""RETIRED and the tokens taken from it wrap."""


@dataclass(kw_only=True)
class Ledger:
    """The host's knowledge of one mover."""

    config: MoverConfig
    spec: Descriptor
    index: int
    pushed: int = 0
    retired: int = 0
    slots: dict[int, Sequence[int]] = field(default_factory=dict)
    """Words known to be in each slot."""
    followers: dict[int, int] = field(default_factory=dict)
    """Slot that each slot leads to, if any."""
    pending: deque[tuple[int, frozenset[int]]] = field(default_factory=deque)
    """Token and slots of tasks not known to have retired."""
    interrupting: set[int] = field(default_factory=set)
    """Tokens of pending tasks that raise an interrupt."""

    def uses(self, slot: int) -> bool:
        """Whether a pending task needs `slot` as it is."""
        return any(slot in used for _, used in self.pending)

    def changes(self, slot: int, words: list[int]) -> dict[int, int]:
        """The words, by index, that make `slot` hold `words`."""
        known: Sequence[int | None] = self.slots.get(slot, [None] * len(words))
        return {i: word for i, word in enumerate(words) if known[i] != word}

    def note_write(self, slot: int, words: list[int], descriptor: BufferDescriptor) -> None:
        """`slot` holds `descriptor`, which is `words`."""
        self.slots[slot] = words
        self.followers.pop(slot, None)
        if descriptor.use_next:
            self.followers[slot] = descriptor.next

    def note_push(self, slot: int, interrupt: bool) -> None:
        """A task was pushed."""
        self.pushed = (self.pushed + 1) % COUNTER
        self.pending.append((self.pushed, self.chain(slot)))
        if interrupt:
            self.interrupting.add(self.pushed)

    def chain(self, slot: int) -> frozenset[int]:
        """The slots that a task uses which begins at `slot`."""
        used: set[int] = set()
        step: int | None = slot
        while step is not None and step not in used:
            used.add(step)
            step = self.followers.get(step)
        return frozenset(used)


def reached(count: int, token: int) -> bool:
    """Whether a wrapping count has come to `token`."""
    return (count - token) % COUNTER < COUNTER // 2
