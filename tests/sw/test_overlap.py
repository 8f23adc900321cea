"""The array's passes beside the DMA: what waits for what, and for how long."""

import pytest

from weft.sw.overlap import AHEAD, BEGIN, HANDOVER, Moved, Stage, overlap

REGIONS = {"a": 2, "b": 2, "d": 2}
LATENCY = 25
BEAT = 5 / 3
"""Cycles of a beat beside the array's work."""


def passes(
    count: int, *, steps: int, a: int = 10, b: int = 0, c: int = 0, d: int = 10
) -> list[Stage]:
    """Of so many steps and beats, a cycle each in the DRAM."""
    loads = [Moved(name, beats, beats) for name, beats in (("a", a), ("b", b), ("d", c)) if beats]
    stage = Stage(
        steps=steps,
        beats=dict.fromkeys("abd", BEAT),
        loads=loads,
        takes=() if c else ("d",),
        frees=[(load.operand, 1) for load in loads if load.operand != "d"],
        stores=[Moved("d", d, d)],
    )
    return [stage] * count


def test_one_pass_hides_nothing() -> None:
    course = overlap(passes(1, steps=500, a=100, b=50, d=40), REGIONS, LATENCY)
    assert course is not None
    assert course.cycles == pytest.approx(150 + BEGIN + 500 + LATENCY + 40, abs=HANDOVER)
    assert course.stops == 1


def test_loads_and_stores_hide_behind_work() -> None:
    course = overlap(passes(20, steps=500, a=100, d=40), REGIONS, LATENCY)
    assert course is not None
    assert course.cycles == pytest.approx(100 + BEGIN + 20 * 500 + LATENCY + 40, abs=HANDOVER)
    assert course.stops == 1


def test_the_array_stops_for_every_pass_that_is_loaded_too_late() -> None:
    """A pass is loaded in twice its steps, half of them beside the work on the one before."""
    course = overlap(passes(20, steps=100, a=200, d=1), REGIONS, LATENCY)
    assert course is not None
    assert course.stops == 20
    each = 100 + BEGIN + (200 - (100 + BEGIN / BEAT) / BEAT)
    assert course.cycles == pytest.approx(200 + 20 * each, rel=0.1)


def test_what_is_ready_just_in_time_counts_in_part() -> None:
    late = overlap(passes(2, steps=int(100 * BEAT), a=100), REGIONS, LATENCY)
    early = overlap(passes(2, steps=int(200 * BEAT), a=100), REGIONS, LATENCY)
    assert late is not None
    assert early is not None
    assert 1 < late.stops < 2
    assert early.stops == 1


def test_one_region_is_loaded_when_the_array_has_left_it() -> None:
    course = overlap(passes(10, steps=500, a=100, d=1), {**REGIONS, "a": 1}, LATENCY)
    assert course is not None
    # The DRAM has been read ahead, but the scratchpad takes a beat a cycle.
    assert course.cycles == pytest.approx(10 * (100 + BEGIN + 500), rel=0.01)
    assert course.stops == 10


def test_a_load_of_c_waits_for_the_store_before_it() -> None:
    """Two regions: the third pass's C comes when the first pass's D is away."""
    with_c = overlap(passes(9, steps=300, c=100, d=100), REGIONS, LATENCY)
    without = overlap(passes(9, steps=300, d=100), REGIONS, LATENCY)
    assert with_c is not None
    assert without is not None
    assert without.stops == 1
    assert with_c.stops > 4


def test_both_ways_share_a_port() -> None:
    """Beside a store that takes all it can get, a load takes twice as long."""
    alone = [Stage(steps=1, loads=[Moved("a", 300, 300)], frees=[("a", 1)])]
    beside = [
        Stage(steps=1, loads=[Moved("b", 10, 10)], stores=[Moved("e", 300, 300)]),
        Stage(steps=1, loads=[Moved("a", 600, 600)], frees=[("a", 1)]),
    ]
    one = overlap(alone, REGIONS, LATENCY)
    both = overlap(beside, {**REGIONS, "e": 1}, LATENCY)
    assert one is not None
    assert both is not None
    # 900 beats and what came before the store.
    assert both.cycles == pytest.approx(10 + BEGIN + 1 + 900, abs=LATENCY + BEGIN + HANDOVER)


def test_the_dram_is_read_ahead_of_a_region_that_is_not_free() -> None:
    """Beats that take four cycles in the DRAM, of which as many as there is room for are there."""
    slow = Moved("a", 4 * AHEAD, AHEAD)
    stages = [Stage(steps=1000, loads=[slow], frees=[("a", 1)])] * 2
    course = overlap(stages, {"a": 1}, LATENCY)
    assert course is not None
    assert course.cycles == pytest.approx(4 * AHEAD + AHEAD + 2 * (1000 + BEGIN), abs=2)


def test_what_takes_more_than_is_asked_for_is_not_looked_at_to_its_end() -> None:
    stages = passes(20, steps=500)
    assert overlap(stages, REGIONS, LATENCY, most=9_000) is None
    assert overlap(stages, REGIONS, LATENCY, most=11_000) is not None


def test_a_region_that_nobody_frees_is_waited_for_for_ever() -> None:
    stage = Stage(steps=10, loads=[Moved("a", 10, 10)])
    with pytest.raises(ValueError, match="stage 2 waits for a region that nobody frees"):
        overlap([stage] * 3, REGIONS, LATENCY)
