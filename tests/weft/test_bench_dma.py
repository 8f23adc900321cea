"""``weft bench dma``: its floors by definition, and a few measurements on the RTL."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

from weft.commands.bench_dma import dma
from weft.dma_bench.patterns import Walk, floor_cases, tile_cases


@pytest.mark.parametrize("offset", [0, 3])
def test_beats_are_the_words_that_hold_a_byte(offset):
    walk = Walk(run=20, bounds=(3, 4), strides=(100, 1000))
    words = [set((walk.index()[20 * k : 20 * k + 20] + offset) // 8) for k in range(12)]
    assert walk.beats(offset, 8) == sum(map(len, words))


def test_runs_that_touch_share_a_beat():
    walk = Walk(run=20, bounds=(3, 2), strides=(20, 104))
    assert walk.beats(1, 8) == 2 * -(-61 // 8)
    assert walk.folded() == Walk(run=60, bounds=(2,), strides=(104,))
    assert np.array_equal(walk.folded().index(), walk.index())


@pytest.mark.parametrize("width", [8, 64])
def test_floors_are_those_of_the_formula(width):
    for case in floor_cases(width, [8, 128, 4096]):
        if case.pattern != "rows":
            continue
        moved = 2 * case.count * case.row_bytes
        offset = max(case.source_offset, case.target_offset)
        beats = -(-(offset + case.row_bytes) // width)
        assert case.floor_cycles(width, 3, 128) == 2 * case.count * beats
        assert case.floor_cycles(width, 3, 128) >= moved / width


def test_slots_bind_where_they_are_few():
    case = next(floor_cases(8, [8], ["dram-spm"]))
    assert case.floor_cycles(8, 100, 10) == 2 * case.count * 10


def test_tiles_have_as_many_dimensions_as_they_say():
    for case in tile_cases(8):
        folded = case.walk(4).folded()
        assert f"tile-{1 + len(folded.bounds)}d" == case.pattern


@pytest.fixture
def measured(request):
    arguments = ["--quick", "--engine", "python", "--json", "--outstanding", "16", *request.param]
    result = CliRunner().invoke(dma, arguments, standalone_mode=False)
    assert result.exception is None, result.exception
    assert result.return_value == 0
    return json.loads(result.stdout)


@pytest.mark.parametrize(
    "measured", [["--size", "64", "--latency", "3", "--path", "dram-dram"]], indirect=True
)
def test_a_copy_reaches_the_floor_and_launches(measured):
    rows = {(row["pattern"], row["src_offset"]): row for row in measured["rows"]}
    for row in measured["rows"]:
        if row["mode"] == "sg" and row["pattern"] != "fused":
            assert row["utilization"] == row["floor"]
            assert row["beats"] == row["beats_floor"]
    assert rows["rows", 0]["floor"] == 1.0
    assert rows["rows", 1]["floor"] == round(8 / 9, 4)
    assert rows["folded", 1]["floor"] == 1.0
    assert measured["summary"]["first_ar"] == rows["launch", 0]["first_ar"] == 3
    assert measured["summary"]["first_ar_lock"] == rows["launch-lock", 0]["first_ar"] <= 4


def test_what_is_not_measured_is_refused():
    result = CliRunner().invoke(dma, ["--path", "spm-spm"])
    assert result.exit_code == 2
    assert "spm-spm" in result.output
