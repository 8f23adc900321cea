"""The whole system: driver, RTL and DRAM model together."""

import json
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

import weft


def operands(dev: Any, M: int, N: int, K: int, seed: int = 0) -> tuple[Any, Any, Any]:
    random = np.random.default_rng(seed)
    a, b = dev.allocate((M, K), np.int8), dev.allocate((K, N), np.int8)
    a[:] = random.integers(-128, 128, (M, K))
    b[:] = random.integers(-128, 128, (K, N))
    return a, b, dev.allocate((M, N), np.int32)


def product(a: Any, b: Any) -> Any:
    return (a.astype(np.int64) @ b.astype(np.int64)).astype(np.int32)


@pytest.mark.parametrize(
    "shape",
    [(1, 1, 1), (7, 5, 3), (4, 4, 4), (8, 20, 8), (65, 33, 17), (9, 1, 70), (1, 40, 5)],
)
def test_odd_shapes_are_exact_without_a_host_copy(shape: tuple[int, int, int]) -> None:
    dev = weft.simulate("tiny")
    a, b, out = operands(dev, *shape)
    dev.gemm(a, b, out=out)
    np.testing.assert_array_equal(out, product(a, b))
    assert dev.stats.host_copies == 0


@pytest.mark.parametrize("shape", [(1, 1, 1), (7, 5, 3), (8, 200, 8)])
def test_odd_shapes_on_the_default_system(shape: tuple[int, int, int]) -> None:
    dev = weft.simulate("datamaestro")
    a, b, out = operands(dev, *shape)
    dev.gemm(a, b, out=out)
    np.testing.assert_array_equal(out, product(a, b))
    assert dev.stats.host_copies == 0


def test_twice_the_scratchpad() -> None:
    dev = weft.simulate("tiny")
    M, N, K = 64, 64, 128
    a, b, out = operands(dev, M, N, K)
    assert a.nbytes + b.nbytes + out.nbytes >= 2 * dev.config.memory.bytes
    dev.gemm(a, b, out=out)
    np.testing.assert_array_equal(out, product(a, b))
    assert dev.stats.host_copies == 0


def test_c_is_added_and_wraps() -> None:
    dev = weft.simulate("tiny")
    a, b, out = operands(dev, 10, 9, 11)
    c = dev.allocate((10, 9), np.int32)
    c[:] = 2**31 - 1
    dev.gemm(a, b, out=out, c=c)
    expected = a.astype(np.int64) @ b.astype(np.int64) + c
    np.testing.assert_array_equal(out, expected.astype(np.uint32).astype(np.int32))


def test_operands_may_be_views_with_any_row_pitch() -> None:
    dev = weft.simulate("tiny")
    big = dev.allocate((20, 31), np.int8)
    big[:] = np.random.default_rng(1).integers(-128, 128, big.shape)
    out = dev.allocate((30, 40), np.int32)
    a, b = big[3:12, 5:18], big[2:15, 1:8]
    dev.gemm(a, b, out=out[4:13, 9:16])
    np.testing.assert_array_equal(out[4:13, 9:16], product(a, b))
    untouched = np.ones(out.shape, bool)
    untouched[4:13, 9:16] = False
    assert not np.asarray(out)[untouched].any()


@pytest.mark.parametrize("seed", range(6))
def test_latency_and_backpressure_change_cycles_and_never_results(seed: int) -> None:
    random = np.random.default_rng(seed)
    dev = weft.simulate(
        "tiny",
        latency=int(random.integers(0, 101)),
        backpressure=float(random.uniform(0, 0.9)),
        seed=seed,
    )
    M, N, K = (int(n) for n in random.integers(1, 30, 3))
    a, b, out = operands(dev, M, N, K, seed)
    report = dev.gemm(a, b, out=out)
    np.testing.assert_array_equal(out, product(a, b))
    quiet = weft.simulate("tiny", latency=0)
    a, b, out = operands(quiet, M, N, K, seed)
    assert quiet.gemm(a, b, out=out).cycles_total <= report.cycles_total


def run_json(*arguments: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "weft", "run", "gemm", *arguments, "--json"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_demo_s_figures() -> None:
    result = run_json("--m", "64", "--n", "64", "--k", "64")
    assert result["ok"]
    assert result["max_abs_error"] == 0
    assert result["cycles_ideal"] == 512
    assert result["cycles_span"] <= 640
    assert result["macs"] == 64**3
    assert set(result["movers"]) == {"A", "B", "C", "D", "X", "Y", "MM2S0", "S2MM0"}
    # A and B are read once a step, D written once a tile.
    assert result["movers"]["A"]["accesses"] == 512 * 8
    assert result["movers"]["D"]["accesses"] == 64 * 32
    assert result["movers"]["C"]["accesses"] == 0
    assert result["dma"]["bytes_read"] == 2 * 64 * 64
    assert result["dma"]["bytes_written"] == 4 * 64 * 64


def test_no_bubble_between_tiles() -> None:
    result = run_json("--m", "128", "--n", "64", "--k", "128")
    assert result["ok"]
    assert result["cycles_ideal"] == 16 * 8 * 16
    assert result["array"]["steps"] == result["cycles_ideal"]
    assert result["array"]["bubbles"] == 0
