"""``weft bench ablation``: rearranging by its definition, and small workloads at every step."""

import json
import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from click.testing import CliRunner

from support.engines import FASTEST
from weft.ablation import CASES, GROUPS, QUICK_CASES, STEPS, Runner, ablation_system, summarize
from weft.ablation.cases import ConvCase, GemmCase
from weft.ablation.places import apart
from weft.ablation.rearrange import rearrange
from weft.ablation.runner import plan
from weft.ablation.systems import READER, WRITER
from weft.commands.bench_ablation import ablation
from weft.config import load_config
from weft.conv_workload import ConvWorkload
from weft.gemm_workload import GemmWorkload
from weft.hw.config import AcceleratorConfig, MoverConfig
from weft.hw.errors import ConfigError
from weft.sim.golden import agu
from weft.sim.golden.system import SystemModel
from weft.sw.descriptor import BufferDescriptor
from weft.sw.device import Device
from weft.sw.guard import Guard
from weft.sw.reach import bank_of

SPATIAL = {"A": (2,), "B": (2,), "C": (4, 2), "D": (4, 2), "X": (2,), "Y": (2,)}


def small() -> AcceleratorConfig:
    """`tiny` with an array of 2x2x2 and no sequencer: a case takes seconds in Python."""

    def shrunk(mover: MoverConfig) -> MoverConfig:
        mover = replace(mover, descriptors=2, queue_depth=2, address_depth=4, data_depth=4)
        if not mover.is_scratchpad:
            return mover
        reach = 2 if mover.reach else 0
        loops = 5 if mover.name == "A" else 3
        return replace(mover, spatial_bounds=SPATIAL[mover.name], reach=reach, loops=loops)

    tiny = load_config("tiny")
    assert tiny.array is not None
    assert tiny.dma is not None
    return replace(
        tiny,
        name="small",
        memory=replace(tiny.memory, banks=8, bank_bits=16, groups=(8, 4, 2, 1)),
        array=replace(tiny.array, mu=2, nu=2, ku=2),
        dma=replace(tiny.dma, data_bits=32),
        sequencer=None,
        locks=1,
        movers=tuple(map(shrunk, tiny.movers)),
    )


SMALL_CASES = (
    GemmCase(GemmWorkload(m=5, n=4, k=6, bias=True, transpose_a=True, transpose_b=True)),
    ConvCase(
        ConvWorkload(h=4, w=4, c=2, k=2, r=3, s=3, stride=(2, 2), pad=((1, 1), (1, 1)), bias=True)
    ),
)
FEATURES = ("prefetch", "transposer", "broadcaster", "im2col", "modes")


def test_each_step_has_one_feature_more():
    counts = [sum(getattr(step, name) for name in FEATURES) for step in STEPS]
    assert counts == list(range(6))
    assert all(getattr(b, n) for a, b in pairwise(STEPS) for n in FEATURES if getattr(a, n))


def test_every_group_has_eight_shapes_and_convolutions_of_all_kinds():
    for group in GROUPS:
        shapes = [case.shape for case in CASES if case.group == group]
        assert len(set(shapes)) == len(shapes) >= 8
    convolutions = [case.workload for case in CASES if case.group == "conv"]
    kinds = {(work.r, work.stride[0]) for work in convolutions}
    assert kinds == {(kernel, stride) for kernel in (1, 3, 5, 7) for stride in (1, 2)}


@pytest.mark.parametrize("name", ["tiny", "datamaestro"])
def test_the_baseline_alone_is_without_prefetch(name):
    config = load_config(name)
    for prefetch in (False, True):
        system = ablation_system(config, prefetch=prefetch)
        scratchpad = [mover for mover in system.movers if mover.is_scratchpad]
        assert {mover.prefetch for mover in scratchpad} == {prefetch}
        assert [mover.name for mover in system.movers[-2:]] == [READER, WRITER]


def test_a_system_without_an_array_is_refused():
    with pytest.raises(ConfigError, match="has no array"):
        ablation_system(load_config("dma"), prefetch=True)


def rows_of(walk, spatial):
    """Of every row of a walk in order, the words' addresses, None where a guard excludes one."""
    bases = agu.rows(walk.bounds, walk.strides, walk.base)
    windows = [
        agu.rows(walk.bounds, (*g.strides, *[0] * 8)[: len(walk.bounds)], g.offset)
        for g in walk.guards
    ]
    for row, base in enumerate(bases):
        places = agu.channel_addresses(spatial, walk.spatial_strides, int(base))
        there = [
            all(
                0 <= int(window[row]) + guard.coefficient * channel < guard.limit
                for window, guard in zip(windows, walk.guards, strict=True)
            )
            for channel in range(len(places))
        ]
        yield [place if exists else None for place, exists in zip(places, there, strict=True)]


@pytest.mark.parametrize(
    "walk",
    [
        BufferDescriptor(
            base=64, bounds=(3, 2, 4), strides=(64, 0, 192), spatial_strides=(4,), mark_level=0
        ),
        BufferDescriptor(
            base=-20,
            bounds=(3, 2, 2, 3),
            strides=(4, 48, 0, 16),
            spatial_strides=(8,),
            mark_level=1,
            guards=(
                Guard(offset=-1, limit=2, strides=(0, 1, 0, 0)),
                Guard(offset=-1, limit=9, strides=(1, 0, 0, 4), coefficient=1),
            ),
        ),
    ],
)
def test_what_is_rearranged_reads_as_what_was_walked(walk):
    config = ablation_system(load_config("tiny"), prefetch=True)
    memory, spatial = config.memory, config.mover(READER).spatial_bounds
    done = rearrange(config, walk, base=2048, mode=0, label="")
    (writer, write), (reader, read) = [(task.mover, task.descriptor) for task in done.tasks]
    assert (writer, reader) == (WRITER, READER)
    contents = np.random.default_rng(1).integers(1, 1 << 30, memory.bytes // memory.word_bytes)

    def fetched(by):
        for places in rows_of(by, spatial):
            yield [0 if place is None else int(contents[place // 4]) for place in places]

    wanted = list(fetched(walk))
    moved = list(zip(rows_of(write, spatial), fetched(read), strict=True))
    for places, words in moved:
        contents[np.array(places) // 4] = words
    assert list(fetched(done.stream)) == wanted
    assert len(moved) * 16 == done.nbytes < len(wanted) * 16
    assert done.stream.mark_level == walk.mark_level
    assert math.prod(done.stream.bounds) == len(wanted)


def test_operands_have_banks_of_their_own_where_the_model_finds_that_best():
    config = ablation_system(load_config("tiny"), prefetch=True)
    memory = config.memory
    case = GemmCase(GemmWorkload(m=16, n=16, k=32, bias=True))
    trial = case.workload.begin(Device(SystemModel(config), config))
    placement = apart(config, lambda places: case.array_pass(config, places, trial, row_c=True))
    used = []
    for (region,) in (placement.a, placement.b, placement.d):
        words = np.arange(region.base, region.base + region.size, memory.word_bytes)
        used.append(set(bank_of(memory, region.mode, words // memory.word_bytes).tolist()))
    assert [len(banks) for banks in used] == [4, 4, 8]
    assert len(set.union(*used)) == memory.banks


def test_no_operand_goes_beyond_its_region():
    config = ablation_system(load_config("datamaestro"), prefetch=True)
    case = GemmCase(GemmWorkload(m=96, n=96, k=96, bias=True))
    trial = case.workload.begin(Device(SystemModel(config), config))

    def make(places):
        return case.array_pass(config, places, trial, row_c=True)

    placement = apart(config, make)
    for port, walk in make(placement).streams.items():
        (region,) = placement.d if port in ("array.c", "array.d") else getattr(placement, port[-1])
        steps = zip(walk.bounds, walk.strides, strict=True)
        last = walk.base + sum((bound - 1) * stride for bound, stride in steps)
        assert region.base <= walk.base <= last < region.base + region.size


def check(rows):
    assert all(row["ok"] for row in rows), [row for row in rows if not row["ok"]]
    of = {(row["group"], row["shape"], row["step"]): row for row in rows}
    for (group, shape, step), row in of.items():
        assert row["utilization_temporal"] == round(row["cycles_ideal"] / row["cycles"], 4) <= 1
        assert sum(row["accesses_by_mover"].values()) == row["accesses"]
        copied = step < {"gemm": 0, "gemm-t": 3, "conv": 5}[group]
        assert (row["cycles_copying"] > 0) == copied == (READER in row["accesses_by_mover"])
        if step > 1:
            before = of[group, shape, step - 1]
            assert row["accesses"] <= before["accesses"]
            assert step != 2 or row["cycles"] < before["cycles"] / 1.5


@pytest.mark.parametrize("case", QUICK_CASES, ids=lambda case: case.group)
def test_a_step_plans_with_its_features_alone(case):
    config = ablation_system(load_config("tiny"), prefetch=True)
    trial = case.workload.begin(Device(SystemModel(config), config))
    turned = {"gemm": [], "gemm-t": ["array.b"], "conv": []}[case.group]
    for step in STEPS:
        work, passes = plan(config, case, step, trial)
        copied = step.number < {"gemm": 0, "gemm-t": 3, "conv": 5}[case.group]
        assert len(passes) == copied
        extended = {port: walk.extensions for port, walk in work.streams.items() if walk.extensions}
        wanted = dict.fromkeys(turned if step.transposer else [], ("transposer",))
        wanted |= {"array.c": ("broadcaster",)} if step.broadcaster else {}
        assert extended == wanted
        assert step.modes or {walk.mode for walk in work.streams.values()} == {0}
        guarded = case.group == "conv" and step.im2col
        assert bool(work.streams["array.a"].guards) == guarded


@pytest.mark.soak
def test_a_small_convolution_is_exact_at_the_baseline():
    case = SMALL_CASES[1]
    with Runner(small(), engine="python") as runner:
        row = runner.measure(case, STEPS[0])
    assert row["ok"]
    # 4 beats of 9 steps, of which the image's edge leaves 25 words; a C and a D of 8 for 2 of them.
    assert row["accesses_by_mover"] == {"A": 36, "B": 36, "C": 16, "D": 16, "R": 25, "W": 36}
    # A round trip a beat, for the pass and for the array.
    assert row["cycles_copying"] >= 5 * 18
    assert row["cycles_active"] >= 5 * 17


@pytest.mark.soak
def test_small_workloads_are_exact_at_every_step():
    arguments = ["--config", "tiny", "--quick", "--engine", FASTEST, "--json"]
    result = CliRunner().invoke(ablation, arguments, standalone_mode=False)
    assert result.exception is None, result.exception
    assert result.return_value == 0
    printed = json.loads(result.stdout)
    assert len(printed["rows"]) == len(QUICK_CASES) * len(STEPS)
    check(printed["rows"])
    assert printed["summary"] == json.loads(json.dumps(summarize(printed["rows"])))


@pytest.mark.soak
def test_both_engines_count_the_same():
    if FASTEST != "verilator":
        pytest.skip("there is one engine")
    counted = []
    for engine in ("python", "verilator"):
        with Runner(small(), engine=engine) as runner:
            counted.append(
                [runner.measure(c, s) for s in (STEPS[0], STEPS[-1]) for c in SMALL_CASES]
            )
    assert counted[0] == counted[1]
    assert all(row["ok"] for row in counted[0])


@pytest.mark.soak
def test_all_workloads_are_exact_at_every_step():
    if FASTEST != "verilator":
        pytest.skip("an hour without a compiler")
    with Runner(load_config("datamaestro"), engine="verilator") as runner:
        rows = [runner.measure(case, step) for step in STEPS for case in CASES]
    check(rows)
    for medians in summarize(rows)["utilization_median"].values():
        assert all(after > 0.99 * before for before, after in pairwise(medians.values()))
        assert medians["6"] > 0.95


@pytest.mark.soak
def test_the_figure_has_a_box_a_step_and_its_bars(tmp_path):
    pytest.importorskip("matplotlib")
    from weft.ablation.figure import draw

    rows = [
        {
            "group": group,
            "step": step.number,
            "utilization_temporal": step.number / 10,
            "accesses_by_mover": {"A": 1000, "B": 2000 * step.number},
        }
        for group in GROUPS
        for step in STEPS
    ]
    png, svg = draw(rows, tmp_path / "ablation")
    assert png.read_bytes().startswith(b"\x89PNG")
    text = svg.read_text()
    assert all(f"{step.number} {step.title}" in text for step in STEPS)
    assert "transposed GeMM" in text
