"""What a mover has to do with the tasks pushed to it, from the definition of a BD."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from .agu import rows

__all__ = ["Bd", "Execution", "Task", "executions"]


@dataclass(frozen=True, kw_only=True)
class Bd:
    """A BD by its meaning: true strides in bytes, loop 0 innermost.

    ``next`` is the slot that follows. ``iteration`` is (size, current, stride). ``fault`` is the
    code with which the hardware has to refuse it, or 0.
    """

    base: int
    bounds: tuple[int, ...]
    strides: tuple[int, ...]
    operator: int = 0
    next: int | None = None
    iteration: tuple[int, int, int] | None = None
    fault: int = 0

    def addresses(self, base: int) -> list[int]:
        """The address of every iteration: `base` plus the sum of index times stride."""
        return [int(address) for address in rows(self.bounds, self.strides, base)]


@dataclass(frozen=True, kw_only=True)
class Task:
    """A push: the chain from slot ``descriptor`` is executed ``repeat`` + 1 times, its first BD at
    ``base`` if there is one."""

    descriptor: int
    repeat: int = 0
    interrupt: bool = False
    base: int | None = None


@dataclass(frozen=True, kw_only=True)
class Execution:
    """One run of a BD, by the index of its task; ``last`` ends the task.

    ``addresses`` is empty where there is nothing to move, because of the BD's ``fault`` or not.
    """

    task: int
    descriptor: int
    last: bool
    addresses: tuple[int, ...]
    operator: int
    fault: int


def executions(tasks: Iterable[Task], slots: Mapping[int, Bd], missing: int) -> Iterator[Execution]:
    """Every execution in order, for ever if a chain is a ring.

    A slot that is not there has the fault `missing`. A fault ends its task. An iterating BD adds
    current times stride to its base, then its current steps, and becomes 0 where it is the size.
    """
    currents = {slot: bd.iteration[1] for slot, bd in slots.items() if bd.iteration is not None}
    for number, task in enumerate(tasks):
        left, slot, base = task.repeat, task.descriptor, task.base
        while True:
            bd = slots.get(slot)
            fault = missing if bd is None else bd.fault
            if bd is None or fault:
                yield Execution(
                    task=number, descriptor=slot, last=True, addresses=(), operator=0, fault=fault
                )
                break
            start = bd.base if base is None else base
            if bd.iteration is not None and bd.iteration[0] > 1:
                start += currents[slot] * bd.iteration[2]
                currents[slot] = (currents[slot] + 1) % bd.iteration[0]
            last = bd.next is None and left == 0
            yield Execution(
                task=number,
                descriptor=slot,
                last=last,
                addresses=tuple(bd.addresses(start)),
                operator=bd.operator,
                fault=0,
            )
            if last:
                break
            if bd.next is not None:
                slot, base = bd.next, None
            else:
                left, slot, base = left - 1, task.descriptor, task.base
