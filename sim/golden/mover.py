"""What a mover has to do with the tasks pushed to it, from the definition of a BD."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from .agu import rows

__all__ = ["Bd", "Execution", "Task", "executions", "first_fault"]


@dataclass(frozen=True, kw_only=True)
class Bd:
    """A BD by its meaning: true strides in bytes, loop 0 innermost.

    ``fault`` is the code with which the hardware has to refuse it, or 0.
    """

    base: int
    bounds: tuple[int, ...]
    strides: tuple[int, ...]
    operator: int = 0
    fault: int = 0

    def addresses(self) -> list[int]:
        """The address of every iteration: base plus the sum of index times stride."""
        if self.fault:
            return []
        return [int(address) for address in rows(self.bounds, self.strides, self.base)]


@dataclass(frozen=True, kw_only=True)
class Task:
    """A push: slot ``descriptor`` is executed ``repeat`` + 1 times."""

    descriptor: int
    repeat: int = 0
    interrupt: bool = False


@dataclass(frozen=True, kw_only=True)
class Execution:
    """One run of a BD that has rows, by the index of its task."""

    task: int
    descriptor: int
    addresses: tuple[int, ...]
    operator: int


def executions(tasks: Sequence[Task], slots: Mapping[int, Bd]) -> list[Execution]:
    """The executions with rows, in order; a BD without rows has none."""
    runs = []
    for number, task in enumerate(tasks):
        bd = slots.get(task.descriptor)
        addresses = tuple(bd.addresses()) if bd is not None else ()
        if bd is not None and addresses:
            run = Execution(
                task=number,
                descriptor=task.descriptor,
                addresses=addresses,
                operator=bd.operator,
            )
            runs += [run] * (task.repeat + 1)
    return runs


def first_fault(
    tasks: Iterable[Task], slots: Mapping[int, Bd], missing: int
) -> tuple[int, int] | None:
    """Code and slot of the first task that the checks refuse; `missing` for an absent slot."""
    for task in tasks:
        bd = slots.get(task.descriptor)
        code = missing if bd is None else bd.fault
        if code:
            return code, task.descriptor
    return None
