"""Convolutions on the gateware."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import weft
from support.convolutions import Problem, check_convolution, problems
from support.engines import FASTEST, needs_compiler
from support.quantized import QUANTIZED
from weft import cli

SAME = ((1, 1), (1, 1))
KINDS = [
    Problem(h=4, w=5, c=4, k=4, r=3, s=3, pad=SAME),
    Problem(h=7, w=5, c=3, k=5, r=3, s=3, stride=(2, 2), pad=SAME),
    Problem(h=7, w=9, c=5, k=6, r=3, s=3, stride=(2, 2), pad=((0, 1), (0, 1))),
    Problem(h=9, w=9, c=3, k=8, r=7, s=7, stride=(2, 2), pad=((3, 3), (3, 3))),
    Problem(h=6, w=7, c=8, k=4, r=5, s=5, pad=((2, 2), (2, 2))),
    Problem(h=7, w=7, c=9, k=10),
    Problem(h=7, w=8, c=8, k=4, stride=(2, 2)),
    Problem(h=1, w=1, c=17, k=3, r=3, s=3, pad=SAME),
    Problem(h=9, w=8, c=4, k=4, r=3, s=3, dilation=(2, 2), pad=((2, 2), (2, 2))),
    Problem(h=24, w=24, c=16, k=24, r=3, s=3, pad=SAME),
    Problem(h=5, w=5, c=160, k=12, r=3, s=3, pad=SAME),
]
"""The last two are larger than the scratchpad."""


def test_a_convolution_of_every_kind() -> None:
    dev: Any = weft.simulate("tiny", FASTEST)
    for number, problem in enumerate(KINDS if FASTEST == "verilator" else KINDS[:2]):
        bias = ("", "filter", "full")[number % 3]
        report = check_convolution(dev, problem, bias=bias, seed=number)
        assert report.via == "program"
        assert (report.tiles > 1) or problem not in KINDS[-2:]


@settings(max_examples=10 if FASTEST == "verilator" else 2, deadline=None)
@given(
    problem=problems(10, 12),
    bias=st.sampled_from(["", "filter", "full"]),
    latency=st.integers(0, 100),
    backpressure=st.sampled_from([0.0, 0.3, 0.8]),
    seed=st.integers(0, 99),
)
def test_latency_and_backpressure_never_change_results(
    problem: Problem, bias: str, latency: int, backpressure: float, seed: int
) -> None:
    dev = weft.simulate("tiny", FASTEST, latency=latency, backpressure=backpressure, seed=seed)
    check_convolution(dev, problem, bias=bias, seed=seed)


@pytest.mark.soak
@settings(max_examples=400, deadline=None)
@given(
    problem=problems(24, 40),
    bias=st.sampled_from(["", "filter", "full"]),
    latency=st.integers(0, 200),
    backpressure=st.sampled_from([0.0, 0.5, 0.9]),
)
def test_large_convolutions(problem: Problem, bias: str, latency: int, backpressure: float) -> None:
    dev = weft.simulate("tiny", FASTEST, latency=latency, backpressure=backpressure)
    check_convolution(dev, problem, bias=bias)


@needs_compiler
@pytest.mark.soak
@settings(max_examples=300, deadline=None)
@given(
    problem=problems(24, 40),
    results=st.sampled_from(["e", "de"]),
    bias=st.sampled_from(["", "filter", "full"]),
    latency=st.integers(0, 200),
    backpressure=st.sampled_from([0.0, 0.5, 0.9]),
)
def test_large_convolutions_to_int8(
    problem: Problem, results: str, bias: str, latency: int, backpressure: float
) -> None:
    dev = weft.simulate(QUANTIZED, "verilator", latency=latency, backpressure=backpressure)
    check_convolution(dev, problem, bias=bias, results=results)


@needs_compiler
@pytest.mark.soak
@pytest.mark.parametrize("results", ["d", "e", "de"])
@pytest.mark.parametrize(
    "problem",
    [
        Problem(h=16, w=16, c=32, k=32, r=3, s=3, pad=SAME),
        Problem(h=28, w=28, c=32, k=32, r=5, s=5, stride=(2, 2), pad=((2, 2), (2, 2))),
        Problem(h=40, w=40, c=3, k=64, r=7, s=7, stride=(2, 2), pad=((3, 3), (3, 3))),
    ],
    ids=["3x3", "5x5, stride 2", "7x7 of 3 channels, stride 2"],
)
def test_the_array_hardly_waits(problem: Problem, results: str) -> None:
    dev: Any = weft.simulate("datamaestro", "verilator")
    report = check_convolution(dev, problem, results=results)
    counters = dev.array_counters()
    assert counters["array_steps"] == report.cycles_ideal >= 4096
    # Five bytes of every output are stored with int32 and int8, side by side on the same banks.
    least = 0.97 if results == "de" else 0.99
    assert report.cycles_ideal >= least * counters["array_active"]


@needs_compiler
def test_a_partial_result_comes_back_in_time() -> None:
    dev: Any = weft.simulate("tiny", "verilator")
    report = check_convolution(dev, Problem(h=16, w=16, c=128, k=16, r=3, s=3, pad=SAME))
    counters = dev.array_counters()
    assert dev.counters()["C"]["accesses"] > 0
    assert counters["array_starved_c"] == 0
    assert report.cycles_ideal >= 0.95 * counters["array_active"]


def test_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    letters = {"h": 7, "w": 6, "c": 3, "k": 5, "r": 3, "s": 3, "pad": 1, "stride": 2}
    options = [text for name, value in letters.items() for text in (f"--{name}", str(value))]
    command = ["run", "conv", "--config", "tiny", "--engine", FASTEST, *options, "--bias", "--json"]
    assert cli.main(command) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["ok"]
    # 4 x 3 outputs and 5 filters are 4 x 1 x 2 tiles; a kernel row of 9 bytes takes 3 words.
    assert result["cycles_ideal"] == result["array"]["steps"] == 4 * 2 * 3 * 3
    assert result["dma"]["bytes_written"] == 4 * 4 * 3 * 5
