"""A timeline of a run for Perfetto and other readers of trace events."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from amaranth.lib.data import StructLayout

from weft.hw.config import AcceleratorConfig
from weft.hw.mover.monitor import Counted
from weft.hw.observer import trace_layout, unpack
from weft.sw.program import PushedTask

__all__ = ["timeline", "write_timeline"]

PROCESS = 1
ARRAY_LATENESS = 1
"""Cycles by which the array's part of the trace is late."""

RESULT_WAITS = {
    "blocked_d": "waits for room in D",
    "blocked_e": "waits for room in E",
    "starved_s": "waits for parameters",
}
"""What the last step of a tile waits for, and what that is called."""

Run = tuple[int, int, int]
"""First cycle, the cycle after the last, the value meanwhile."""
Event = dict[str, Any]


def timeline(
    config: AcceleratorConfig,
    changes: Sequence[tuple[int, int]],
    *,
    cycles: int,
    tasks: Iterable[PushedTask] = (),
) -> dict[str, Any]:
    """The run since its counters were last cleared, as an object of the trace event format.

    A clock cycle is a microsecond of the format's time. Each mover has two tracks: its *tasks*, a
    slice for each execution from when it was the oldest in flight to its retirement; and its
    *stream*, with slices "active", "starved" and "blocked" that last as many cycles as the counters
    of these names show. Inside them stand "conflict", as long as that counter says (a scratchpad
    mover counts it a cycle after the fact), and "side queue full". The array's track has its
    stretches ("busy") and, inside, "step" and what it waits for. Counter tracks show executions in
    flight, tasks in the queue, and how full the memory port is, in rows or beats.

    Parameters
    ----------
    config
        The system.
    changes
        Of the packed trace, see :meth:`~weft.sim.simulation.Simulation.observed`.
    cycles
        Of the simulation so far: the end.
    tasks
        What was pushed since the last reset, to name the slices; others are called by their BD.
    """
    layout = trace_layout(config)
    reset = _last_pulse(layout, changes, ("reset",))
    origin = _last_pulse(layout, changes, ("reset", "clear"))
    labels = {(task.mover, task.token): task.label for task in tasks if task.label}
    events: list[Event] = [_metadata("process_name", 0, name=f"weft {config.name}")]
    track = 0

    def begin_track(name: str) -> int:
        nonlocal track
        track += 1
        events.append(_metadata("thread_name", track, name=name))
        events.append(_metadata("thread_sort_index", track, sort_index=track))
        return track

    for mover in config.movers:
        inner = layout["movers"].shape
        field = inner[mover.name]
        start = layout["movers"].offset + field.offset
        runs = list(_runs(changes, start, field.width, since=reset, until=cycles))
        decode = _decoder(field.shape)
        label = {token: text for (name, token), text in labels.items() if name == mover.name}
        events += _tasks(begin_track(f"{mover.name} tasks"), runs, decode, label, origin)
        events += _stream(begin_track(f"{mover.name} stream"), runs, decode, origin)
        for counter in ("in_flight", "queue", "fill"):
            if counter in field.shape.members:
                events += _counter(f"{mover.name} {counter}", counter, runs, decode, origin)
    if config.array is not None:
        field = layout["array"]
        runs = list(_runs(changes, field.offset, field.width, since=origin, until=cycles))
        events += _array(begin_track("array"), runs, _decoder(field.shape))

    # The array's first cycle is the one before the first that is counted.
    zero = origin - ARRAY_LATENESS
    for event in events:
        if "ts" in event:
            event["ts"] -= zero
    # A reader nests slices in the order in which it meets them.
    events.sort(key=lambda event: (event.get("ts", -1), -event.get("dur", 0)))
    return {
        "traceEvents": events,
        "displayTimeUnit": "ns",
        "otherData": {
            "time": f"1 us is 1 clock cycle; 0 is cycle {zero} of the simulation",
            "config": config.name,
            "config_hash": config.hash,
            "cycles": cycles - zero,
        },
    }


def write_timeline(
    path: Path,
    config: AcceleratorConfig,
    changes: Sequence[tuple[int, int]],
    *,
    cycles: int,
    tasks: Iterable[PushedTask] = (),
) -> None:
    """Write the :func:`timeline` to `path`, an event a line."""
    value = timeline(config, changes, cycles=cycles, tasks=tasks)
    with path.open("w") as file:
        file.write('{"traceEvents": [\n')
        file.write(",\n".join(json.dumps(event) for event in value.pop("traceEvents")))
        file.write(f"\n], {json.dumps(value)[1:]}\n")


def _last_pulse(
    layout: StructLayout, changes: Sequence[tuple[int, int]], names: tuple[str, ...]
) -> int:
    """The cycle after the last in which one of the flags `names` was set."""
    mask = sum(1 << layout[name].offset for name in names)
    for index in range(len(changes) - 1, 0, -1):
        if changes[index - 1][1] & mask:
            return changes[index][0]
    return 0


def _runs(
    changes: Sequence[tuple[int, int]], offset: int, width: int, *, since: int, until: int
) -> Iterator[Run]:
    """The runs of a part of the trace."""
    mask = (1 << width) - 1
    begin, shown = since, 0
    for cycle, value in changes:
        part = value >> offset & mask
        if cycle <= since:
            shown = part
        elif part != shown:
            yield begin, cycle, shown
            begin, shown = cycle, part
    if until > begin:
        yield begin, until, shown


def _decoder(layout: StructLayout) -> Callable[[int], dict[str, int]]:
    return cache(lambda part: unpack(layout, part))


def _metadata(kind: str, track: int, **args: Any) -> Event:
    return {"ph": "M", "name": kind, "pid": PROCESS, "tid": track, "args": args}


def _slice(track: int, name: str, begin: int, end: int, **args: Any) -> Event:
    return {
        "ph": "X",
        "name": name,
        "cat": "weft",
        "pid": PROCESS,
        "tid": track,
        "ts": begin,
        "dur": end - begin,
        "args": args,
    }


def _instant(track: int, name: str, cycle: int) -> Event:
    return {"ph": "i", "name": name, "s": "t", "pid": PROCESS, "tid": track, "ts": cycle}


def _merged(track: int, named: Iterable[tuple[int, int, str | None]]) -> Iterator[Event]:
    """Slices for maximal runs of a name; None is no slice."""
    begin, end, shown = 0, 0, None
    for first, last, name in named:
        if name != shown or first != end:
            if shown is not None:
                yield _slice(track, shown, begin, end)
            begin, shown = first, name
        end = last
    if shown is not None:
        yield _slice(track, shown, begin, end)


def _nested(track: int, runs: Iterable[tuple[int, int, str | None, str | None]]) -> Iterator[Event]:
    """Slices of two levels: (from, to, outer name, inner name)."""
    pieces = list(runs)
    yield from _merged(track, ((first, last, outer) for first, last, outer, _ in pieces))
    # An inner slice ends where the outer one does.
    begin = 0
    for index in range(1, len(pieces) + 1):
        if index == len(pieces) or pieces[index][2] != pieces[begin][2]:
            same = pieces[begin:index]
            yield from _merged(track, ((first, last, inner) for first, last, _, inner in same))
            begin = index


def _tasks(
    track: int,
    runs: Sequence[Run],
    decode: Callable[[int], dict[str, int]],
    labels: dict[int, str],
    origin: int,
) -> Iterator[Event]:
    retired = 0
    begin: int | None = None

    def name(otherwise: str) -> str:
        return labels.get(retired + 1, otherwise)

    for first, last, part in runs:
        now = decode(part)
        slot, in_flight = now["descriptor"], now["in_flight"]
        if now["retired"] and now["empty"]:
            for cycle in range(first, last):
                if cycle >= origin:
                    yield _instant(track, name("task without rows"), cycle)
                retired += now["last"]
                begin = cycle + 1
            continue
        if not in_flight:
            begin = None
            continue
        if begin is None:
            begin = first
        about = {"bd": slot, "in_flight": in_flight}
        if now["retired"]:
            for cycle in range(first, last):
                if cycle >= origin:
                    about["task"] = retired + 1
                    start = max(begin, origin)
                    yield _slice(track, name(f"BD {slot}"), start, cycle + 1, **about)
                retired += now["last"]
                begin = cycle + 1
        elif last == runs[-1][1] and last > origin:
            about["task"] = retired + 1
            text = f"{name(f'BD {slot}')} (unfinished)"
            yield _slice(track, text, max(begin, origin), last, **about)


def _stream(
    track: int, runs: Iterable[Run], decode: Callable[[int], dict[str, int]], origin: int
) -> Iterator[Event]:
    def pieces() -> Iterator[tuple[int, int, str | None, str | None]]:
        for first, last, part in runs:
            if last <= origin:
                continue
            now = decode(part)
            counted = Counted(now["counted"])
            outer = None if counted == Counted.IDLE else counted.name.lower()
            inner = None
            if now["conflict"]:
                inner = "conflict"
            elif now["locked"]:
                inner = "lock"
            elif now["held"]:
                inner = "side queue full"
            yield max(first, origin), last, outer, inner

    return _nested(track, pieces())


def _counter(
    name: str, field: str, runs: Iterable[Run], decode: Callable[[int], dict[str, int]], origin: int
) -> Iterator[Event]:
    shown = None
    for first, last, part in runs:
        level = decode(part)[field]
        if last <= origin or level == shown:
            continue
        shown = level
        yield {
            "ph": "C",
            "name": name.replace("_", " "),
            "pid": PROCESS,
            "tid": 0,
            "ts": max(first, origin),
            "args": {"level": level},
        }


def _array(
    track: int, runs: Iterable[Run], decode: Callable[[int], dict[str, int]]
) -> Iterator[Event]:
    def pieces() -> Iterator[tuple[int, int, str | None, str | None]]:
        for first, last, part in runs:
            now = decode(part)
            waits = [f"{port.upper()}" for port in "abc" if now[f"starved_{port}"]]
            inner = None
            if now["step"]:
                inner = "step"
            elif waits:
                inner = f"waits for {' and '.join(waits)}"
            else:
                inner = next((text for name, text in RESULT_WAITS.items() if now[name]), None)
            outer = "busy" if now["busy"] else None
            yield first - ARRAY_LATENESS, last - ARRAY_LATENESS, outer, inner

    return _nested(track, pieces())
