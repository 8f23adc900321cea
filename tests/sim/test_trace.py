"""Timelines: their format, and that their slices are the counters."""

import json
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from weft.config import load_config
from weft.engines import dram_parameters
from weft.gemm_workload import GemmWorkload
from weft.hw.config import AcceleratorConfig
from weft.hw.mover.monitor import Counted
from weft.hw.observer import trace_layout
from weft.sim.amaranth_engine import AmaranthSimulation
from weft.sim.simulation import SimulationError
from weft.sim.trace import timeline, write_timeline
from weft.sw.descriptor import BufferDescriptor
from weft.sw.device import Device
from weft.sw.errors import DeviceError
from weft.sw.program import PushedTask
from weft.workload import run_workload

TINY = load_config("tiny")
WAITS = {
    "steps": ("step",),
    "active": ("busy",),
    "starved_a": ("waits for A", "waits for A and B"),
    "starved_b": ("waits for B", "waits for A and B"),
    "starved_c": ("waits for C",),
    "blocked_d": ("waits for room in D",),
    "blocked_e": ("waits for room in E",),
    "starved_s": ("waits for parameters",),
}


class Run:
    """A device whose trace is recorded."""

    def __init__(self, config: AcceleratorConfig = TINY, **dram: Any) -> None:
        self.simulation = AmaranthSimulation(
            config, dram=dram_parameters(**dram), memory_bytes=1 << 20, observed=True
        )
        self.device = Device(self.simulation, config)
        self.tasks: list[PushedTask] = []
        self.device.program.log = self.tasks

    def gemm(self, m: int, n: int, k: int, **options: Any) -> dict[str, Any]:
        return run_workload(self.device, GemmWorkload(m=m, n=n, k=k, **options), engine="python")

    def timeline(self) -> dict[str, Any]:
        return timeline(
            self.device.config,
            self.simulation.observed(),
            cycles=self.simulation.cycles,
            tasks=self.tasks,
        )


def check_format(value: Any) -> None:
    """The trace event format, as far as timelines use it."""
    assert set(value) == {"traceEvents", "displayTimeUnit", "otherData"}
    assert value["displayTimeUnit"] in ("ms", "ns")
    threads = set()
    keys = {
        "M": {"ph", "name", "pid", "tid", "args"},
        "X": {"ph", "name", "cat", "pid", "tid", "ts", "dur", "args"},
        "i": {"ph", "name", "s", "pid", "tid", "ts"},
        "C": {"ph", "name", "pid", "tid", "ts", "args"},
    }
    for event in value["traceEvents"]:
        assert set(event) == keys[event["ph"]]
        assert isinstance(event["name"], str)
        assert event["name"]
        assert isinstance(event["pid"], int)
        assert isinstance(event["tid"], int)
        assert isinstance(event.get("ts", 0), int)
        assert 0 <= event.get("ts", 0) <= value["otherData"]["cycles"]
        if event["ph"] == "M":
            assert event["name"] in ("process_name", "thread_name", "thread_sort_index")
            threads.add(event["tid"])
        elif event["ph"] == "X":
            assert event["tid"] in threads
            assert isinstance(event["dur"], int)
            assert event["dur"] > 0
        elif event["ph"] == "C":
            assert all(isinstance(level, int) for level in event["args"].values())
    json.dumps(value, allow_nan=False)
    for name, slices in by_track(value).items():
        check_nesting(name, slices)


def check_nesting(name: str, slices: list[dict[str, Any]]) -> None:
    """Slices of a track come in order and lie apart or inside each other."""
    open_ends: list[int] = []
    last = 0
    for event in slices:
        begin, end = event["ts"], event["ts"] + event["dur"]
        assert begin >= last, name
        last = begin
        while open_ends and open_ends[-1] <= begin:
            open_ends.pop()
        assert not open_ends or end <= open_ends[-1], (name, event)
        open_ends.append(end)


def by_track(value: dict[str, Any], kinds: str = "X") -> dict[str, list[dict[str, Any]]]:
    tracks: dict[int, tuple[str, list[dict[str, Any]]]] = {}
    for event in value["traceEvents"]:
        if event["ph"] == "M" and event["name"] == "thread_name":
            tracks[event["tid"]] = event["args"]["name"], []
    for event in value["traceEvents"]:
        if event["ph"] in kinds:
            tracks[event["tid"]][1].append(event)
    return dict(tracks.values())


def sums(value: dict[str, Any], track: str) -> Counter[str]:
    """Cycles by name of slice."""
    total: Counter[str] = Counter()
    for event in by_track(value)[track]:
        total[event["name"]] += event["dur"]
    return total


def check_sums(value: dict[str, Any], result: dict[str, Any]) -> None:
    for mover, counters in result["movers"].items():
        total = sums(value, f"{mover} stream")
        assert set(total) <= {
            "active",
            "starved",
            "blocked",
            "conflict",
            "lock",
            "side queue full",
        }
        for counter in ("active", "starved", "blocked", "conflict"):
            assert total[counter] == counters[counter], (mover, counter)
    total = sums(value, "array")
    for counter, names in WAITS.items():
        assert sum(total[name] for name in names) == result["array"][counter], counter


@pytest.fixture(scope="module")
def tiny() -> tuple[Run, dict[str, Any]]:
    """A product with C in several tiles, after another that is not to be seen."""
    run = Run(latency=9, backpressure=0.3, seed=5)
    run.gemm(4, 4, 4)
    return run, run.gemm(12, 36, 20, accumulate=True, seed=1)


def test_format(tiny: tuple[Run, dict[str, Any]], tmp_path: Path) -> None:
    value = tiny[0].timeline()
    check_format(value)
    path = tmp_path / "trace.json"
    run = tiny[0]
    write_timeline(
        path, TINY, run.simulation.observed(), cycles=run.simulation.cycles, tasks=run.tasks
    )
    assert json.loads(path.read_text()) == value


def test_slices_are_the_counters(tiny: tuple[Run, dict[str, Any]]) -> None:
    run, result = tiny
    assert result["ok"]
    value = run.timeline()
    check_sums(value, result)
    for mover in result["movers"].values():
        assert mover["active"]


def test_tasks_have_the_driver_s_names(tiny: tuple[Run, dict[str, Any]]) -> None:
    run, result = tiny
    # A task without rows, by which a load releases its lock, is an instant.
    tracks = by_track(run.timeline(), "Xi")
    for mover in TINY.movers:
        retired = run.device.registers.read(mover.name, "RETIRED")
        labels = [task.label for task in run.tasks if task.mover == mover.name]
        assert len(labels) == retired
        shown = tracks[f"{mover.name} tasks"]
        # What the first product pushed is not on the timeline.
        assert shown
        assert [event["name"] for event in shown] == labels[-len(shown) :]
        for task, event in enumerate(shown, retired - len(shown) + 1):
            assert event["ph"] == "i" or event["args"]["task"] == task
    assert len(tracks["D tasks"]) == result["tiles"]
    assert tracks["MM2S0 tasks"][0]["name"] == "load A 0,0"
    assert tracks["S2MM0 tasks"][-1]["name"].startswith("store ")


def test_every_mover_and_the_array_have_tracks_and_counters(
    tiny: tuple[Run, dict[str, Any]],
) -> None:
    value = tiny[0].timeline()
    tracks = by_track(value)
    names = [mover.name for mover in TINY.movers]
    expected = [f"{name} {kind}" for name in names for kind in ("tasks", "stream")]
    assert list(tracks) == [*expected, "array"]
    counters = {event["name"] for event in value["traceEvents"] if event["ph"] == "C"}
    assert {f"{name} queue" for name in names} <= counters
    assert {"A fill", "MM2S0 fill", "S2MM0 fill"} <= counters
    for mover in TINY.movers:
        levels = [
            event["args"]["level"]
            for event in value["traceEvents"]
            if event["ph"] == "C" and event["name"] == f"{mover.name} in flight"
        ]
        assert min(levels) == 0
        assert max(levels) >= 1


def test_changes_are_changes(tiny: tuple[Run, dict[str, Any]]) -> None:
    simulation = tiny[0].simulation
    changes = simulation.observed()
    assert changes[0][0] == 0
    for (cycle, before), (following, after) in pairwise(changes):
        assert cycle < following < simulation.cycles
        assert before != after


def test_a_hang_is_seen_to_its_end() -> None:
    run = Run()
    x = TINY.mover("X")
    strides = tuple(int(s) for s in np.cumprod((1, *x.spatial_bounds))[:-1] * 4)
    descriptor = BufferDescriptor(base=0, bounds=(50,), strides=(0,), spatial_strides=strides)
    run.device.program.write("X", 0, descriptor)
    run.device.program.push("X", 0, label="into nowhere")
    run.simulation.wait_interrupt(200)
    value = run.timeline()
    check_format(value)
    (task,) = by_track(value)["X tasks"]
    assert task["name"] == "into nowhere (unfinished)"
    assert task["ts"] + task["dur"] == value["otherData"]["cycles"]
    stuck = by_track(value)["X stream"][-1]
    assert stuck["name"] == "blocked"
    assert stuck["ts"] + stuck["dur"] == value["otherData"]["cycles"]


@pytest.mark.soak
def test_a_task_without_rows_a_reset_and_a_product_as_if_nobody_looked() -> None:
    run = Run()
    run.simulation.write_register(run.device.registers.map.slot_address("X", 3), 0)
    run.device.registers.write_fields("X", "PUSH", descriptor=3, interrupt=1)
    assert run.simulation.wait_interrupt(100)
    with pytest.raises(DeviceError):
        run.device.program.check()
    value = run.timeline()
    check_format(value)
    assert [event["name"] for event in value["traceEvents"] if event["ph"] == "i"] == [
        "task without rows"
    ]

    run.device.reset()
    result = run.gemm(4, 5, 6)
    value = run.timeline()
    # What says that the first tile is loaded moves nothing either.
    assert [event["name"] for event in value["traceEvents"] if event["ph"] == "i"] == ["tile 0,0"]
    assert [event["args"]["task"] for event in by_track(value)["X tasks"]] == [1]
    check_sums(value, result)

    plain = AmaranthSimulation(TINY, memory_bytes=1 << 20)
    expected = run_workload(Device(plain, TINY), GemmWorkload(m=4, n=5, k=6), engine="python")
    for key in ("cycles_total", "movers", "array"):
        assert result[key] == expected[key]
    with pytest.raises(SimulationError, match="without observed=True"):
        plain.observed()


def packed(**fields: Any) -> int:
    layout = trace_layout(TINY)
    return int(layout.const(fields).as_value().value)


def test_one_cycle_each() -> None:
    """Retirements in a row, repeats of one BD, and conflict across states, cycle for cycle."""
    x = {"in_flight": 2, "descriptor": 1, "retired": 1}
    changes = [
        (0, packed(clear=1)),
        (1, packed(movers={"X": {"in_flight": 2, "descriptor": 1, "counted": Counted.ACTIVE}})),
        (3, packed(movers={"X": x | {"counted": Counted.ACTIVE, "conflict": 1}})),
        (5, packed(movers={"X": x | {"last": 1, "counted": Counted.BLOCKED, "conflict": 1}})),
        (6, packed(movers={"X": {"counted": Counted.STARVED, "held": 1}})),
        (8, packed(array={"busy": 1, "step": 1})),
        (9, packed()),
    ]
    tasks = [PushedTask(mover="X", slot=1, token=1, label="three times")]
    value = timeline(TINY, changes, cycles=20, tasks=tasks)
    check_format(value)
    tracks = by_track(value)
    assert [(e["name"], e["ts"], e["dur"]) for e in tracks["X tasks"]] == [
        ("three times", 1, 3),
        ("three times", 4, 1),
        ("three times", 5, 1),
    ]
    assert [(e["name"], e["ts"], e["dur"]) for e in tracks["X stream"]] == [
        ("active", 1, 4),
        ("conflict", 3, 2),
        ("blocked", 5, 1),
        ("conflict", 5, 1),
        ("starved", 6, 2),
        ("side queue full", 6, 2),
    ]
    # The array's part is a cycle late.
    assert [(e["name"], e["ts"], e["dur"]) for e in tracks["array"]] == [
        ("busy", 7, 1),
        ("step", 7, 1),
    ]


@pytest.mark.soak
def test_the_demo_on_the_default_system() -> None:
    run = Run(load_config("datamaestro"))
    result = run.gemm(64, 64, 64)
    value = run.timeline()
    check_format(value)
    check_sums(value, result)
    assert sums(value, "array")["step"] == 512
