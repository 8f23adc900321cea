"""Random programs for a stream switch that a serial machine could execute."""

import random

from weft.sim.golden.switch import SinkTask, SourceTask

__all__ = ["cut", "program"]


def cut(toss: random.Random, total: int, most: int) -> list[int]:
    """`total` in up to `most` parts, none of them 0."""
    seams = sorted(toss.sample(range(1, total), min(total, toss.randint(1, most)) - 1))
    return [b - a for a, b in zip([0, *seams], [*seams, total], strict=True)]


def program(
    toss: random.Random, *, sources: int, sinks: int, transfers: int, longest: int, unit: object
) -> tuple[list[list[SourceTask]], list[list[SinkTask]]]:
    """The tasks of each source and of each sink.

    They are `transfers` of 1 to `longest` units, each from one source to one or several sinks, and
    each cut into BDs by every partner as it likes. All have their BDs in the order of the
    transfers, so the oldest unfinished one can always go on. `unit()` makes a unit.
    """
    given: list[list[SourceTask]] = [[] for _ in range(sources)]
    taken: list[list[SinkTask]] = [[] for _ in range(sinks)]
    for _ in range(transfers):
        source = toss.randrange(sources)
        several = toss.random() < 0.5
        targets = sorted(toss.sample(range(sinks), toss.randint(1, sinks) if several else 1))
        total = toss.randint(1, longest)
        for size in cut(toss, total, 3):
            units = [unit() for _ in range(size)]
            given[source].append(SourceTask(sinks=tuple(targets), units=units))
        for target in targets:
            taken[target] += [SinkTask(source=source, size=n) for n in cut(toss, total, 3)]
    return given, taken
