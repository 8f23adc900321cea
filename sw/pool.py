"""Which BD slots of a mover are whose."""

from __future__ import annotations

from dataclasses import dataclass

from .errors import SequenceError

__all__ = ["BdPool"]


@dataclass(kw_only=True)
class _Use:
    """Who holds a slot, and the last task that uses it (0: none yet)."""

    holder: str
    task: int = 0
    kept: bool = False


class BdPool:
    """Hands out the BD slots of one mover.

    A slot from `allocate` comes back by itself when the last task that uses it is known to have
    retired, unless it is to be kept; that and one from `claim` are held until `free`.

    Parameters
    ----------
    mover
        Its name.
    slots
        How many it has.
    """

    def __init__(self, mover: str, slots: int) -> None:
        self.mover = mover
        self.slots = slots
        self._uses: dict[int, _Use] = {}
        self._retired = 0

    @property
    def held(self) -> tuple[int, ...]:
        """Slots in use."""
        return tuple(sorted(self._uses))

    def allocate(self, holder: str, keep: bool = False) -> int:
        """A free slot for `holder`.

        Raises
        ------
        SequenceError
            There is none: says who holds them.
        """
        for slot in range(self.slots):
            if slot not in self._uses:
                self._uses[slot] = _Use(holder=holder, kept=keep)
                return slot
        holders = ", ".join(self._describe(slot) for slot in self.held)
        raise SequenceError(
            f"the BD slots of {self.mover} are exhausted: {self.slots} of {self.slots} are held, "
            f"by {holders}; wait for a task or free a slot"
        )

    def claim(self, slot: int, holder: str) -> None:
        """Take `slot`, which may be the caller's already.

        Raises
        ------
        SequenceError
            There is no such slot, or it was handed out to somebody else.
        """
        if not 0 <= slot < self.slots:
            raise SequenceError(
                f"BD ID {slot} exceeds the maximum ID {self.slots - 1} of {self.mover}"
            )
        use = self._uses.setdefault(slot, _Use(holder=holder, kept=True))
        if not use.kept:
            raise SequenceError(
                f"BD {slot} of {self.mover} is already in use by {self._describe(slot)}; "
                "wait for its task, or free it"
            )

    def use(self, slot: int, task: int) -> None:
        """Task number `task` uses `slot`."""
        if slot in self._uses:
            self._uses[slot].task = task

    def free(self, slot: int) -> None:
        """Give `slot` back.

        Raises
        ------
        SequenceError
            Nobody has it, or a task that uses it is not known to have retired.
        """
        if slot not in self._uses:
            raise SequenceError(f"BD {slot} of {self.mover} is free already")
        if self._uses[slot].task > self._retired:
            raise SequenceError(
                f"BD {slot} of {self.mover} is in flight: {self._describe(slot)} has not been "
                "waited for"
            )
        del self._uses[slot]

    def retire(self, count: int) -> None:
        """The mover is known to have retired `count` tasks."""
        self._retired = max(self._retired, count)
        done = [s for s, u in self._uses.items() if not u.kept and 0 < u.task <= self._retired]
        for slot in done:
            del self._uses[slot]

    def _describe(self, slot: int) -> str:
        use = self._uses[slot]
        return f"{use.holder} (task {use.task})" if use.task else use.holder
