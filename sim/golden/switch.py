"""What the stream switch means: which unit of which source comes to which BD of a sink."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["SinkTask", "SourceTask", "switched"]


@dataclass(frozen=True, kw_only=True)
class SourceTask:
    """A BD that sends `units` (bytes, or whole beats) to every one of `sinks`."""

    sinks: tuple[int, ...]
    units: Sequence[Any]

    @property
    def route(self) -> int:
        return sum(1 << sink for sink in self.sinks)


@dataclass(frozen=True, kw_only=True)
class SinkTask:
    """A BD that takes `size` units from `source`."""

    source: int
    size: int


def switched(
    sources: Sequence[Sequence[SourceTask]], sinks: Sequence[Sequence[SinkTask]]
) -> list[list[list[Any]]]:
    """What each BD of each sink takes: the next units that its source sends to this sink.

    The tasks of each source and of each sink are in order. Those units that nobody takes are not in
    the result, and a BD for which there are too few has fewer than its size.
    """
    result = []
    for index, tasks in enumerate(sinks):
        sent = [
            [unit for task in source if index in task.sinks for unit in task.units]
            for source in sources
        ]
        taken = []
        for task in tasks:
            units = sent[task.source]
            taken.append(units[: task.size])
            del units[: task.size]
        result.append(taken)
    return result
