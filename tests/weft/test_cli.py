"""The command line: what it prints, and one line for whatever is wrong."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from weft import cli
from weft.commands.execute import verdict
from weft.gemm_workload import GemmWorkload
from weft.hw.config import AcceleratorConfig
from weft.hw.errors import ConfigError
from weft.rescaling import rescaled
from weft.sim.golden.conv import convolve
from weft.sw import ArrayReport
from weft.sw.quantization import Quantization

GEMM = ["run", "gemm", "--m", "2", "--n", "3", "--k", "4"]
CONV = ["run", "conv", "--h", "5", "--w", "6", "--c", "3", "--k", "2", "--r", "3", "--s", "3"]
COUNTERS = ("active", "starved", "blocked", "conflict", "accesses")


REPORT = ArrayReport(
    via="program",
    cycles_total=100,
    cycles_ideal=10,
    macs=24,
    dma_calls=3,
    dma_bds=4,
    bytes_read=20,
    bytes_written=24,
    tiles=1,
)


class FakeDevice:
    """Multiplies with numpy, and can be made to err."""

    wrong = False

    def __init__(self, transport: Any, config: AcceleratorConfig) -> None:
        self.transport = transport
        self.config = config

    def allocate(self, shape: tuple[int, ...], dtype: Any) -> Any:
        return np.zeros(shape, dtype)

    def clear_counters(self) -> None: ...

    def gemm(
        self, a: Any, b: Any, out: Any, c: Any = None, quantization: None = None
    ) -> ArrayReport:
        full = a.astype(np.int64) @ b.astype(np.int64) + (0 if c is None else c)
        out[:] = full.astype(np.int32)
        out[-1, -1] += 5 * self.wrong
        return REPORT

    def conv(
        self,
        image: Any,
        weights: Any,
        out: Any,
        bias: Any,
        quantization: Quantization | None,
        **options: Any,
    ) -> ArrayReport:
        if quantization is None:
            out[:] = convolve(image, weights, addend=bias, **options)
        else:
            zeros = {"zero_a": quantization.zero_a, "zero_b": quantization.zero_b}
            sums = convolve(image, weights, addend=bias, **zeros, **options)
            out[:] = rescaled(sums, quantization)
        out[-1, -1, -1] += 5 * self.wrong
        return REPORT

    def counters(self) -> dict[str, dict[str, int]]:
        return {m.name: dict.fromkeys(COUNTERS, 1) for m in self.config.movers}

    def bank_conflicts(self) -> list[int]:
        return [0, 1234]

    def array_counters(self) -> dict[str, int]:
        return {
            "span_first": 11,
            "span_last": 50,
            "array_active": 20,
            "array_steps": 10,
            "array_bubbles": 2,
        }


class FakeSimulation:
    engine = "python"

    def __enter__(self) -> "FakeSimulation":
        return self

    def __exit__(self, *exception: object) -> None: ...


@pytest.fixture
def _fake(monkeypatch: pytest.MonkeyPatch) -> None:
    """No RTL: a device of numpy behind no simulation."""

    def opened(config: Any, engine: str, **options: Any) -> Any:
        return FakeSimulation()

    monkeypatch.setattr("weft.commands.execute.open_simulation", opened)
    monkeypatch.setattr("weft.commands.execute.Device", FakeDevice)


def complaint(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one line that `arguments` give."""
    assert cli.main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("weft: error: ")
    assert captured.err.count("\n") == 1
    return captured.err


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ([], "Missing command"),
        (["run"], "Missing command"),
        (["fly"], "No such command 'fly'"),
        (["run", "gemm", "--m", "1", "--n", "1"], "Missing option '--k'"),
        ([*GEMM, "--m", "0"], "'--m': 0 is not in the range x>=1"),
        ([*GEMM, "--n", "-3"], "'--n': -3 is not"),
        ([*GEMM, "--k", "four"], "'--k': 'four' is not a valid integer"),
        ([*GEMM, "--m", "100000000"], "operands and result take 1600000012 bytes, the limit is"),
        ([*GEMM, "--config", "huge"], "config = 'huge'"),
        ([*GEMM, "--config", "none.toml"], "No such file"),
        ([*GEMM, "--engine", "python", "--fst", "x.fst"], "'fst': needs the verilator engine"),
        ([*GEMM, "--vcd", "x.vcd", "--fst", "x.fst"], "--vcd and --fst: one waveform at a time"),
        ([*GEMM, "--last", "10"], "--from, --to and --last need --vcd or --fst"),
        ([*GEMM, "--vcd", "x.vcd", "--from", "5", "--to", "5"], "waveform.end = 5: must be after"),
        ([*GEMM, "--fst", "x.fst", "--last", "5"], "waveform.last = 5: is for VCD, not for FST"),
        ([*GEMM, "--engine", "abacus"], "'abacus' is not one of"),
        ([*GEMM, "--layout", "blocked"], "--layout blocked is not built yet"),
        ([*GEMM, "--layout", "spiral"], "'spiral' is not one of"),
        ([*GEMM, "--accumulate", "--bias"], "bias = True: excludes accumulate"),
        ([*GEMM, "--out", "int8", "--config", "tiny"], "configuration tiny has no quantizer"),
        (CONV[:-2], "Missing option '--s'"),
        ([*CONV, "--r", "0"], "'--r': 0 is not in the range x>=1"),
        ([*CONV, "--stride", "0"], "'--stride': 0 is not in the range x>=1"),
        ([*CONV, "--stride", "2,1,1"], "'--stride': 2,1,1 are 3 numbers: must be 1 or 2"),
        ([*CONV, "--pad", "1,x"], "'--pad': '1,x' is not whole numbers with commas"),
        ([*CONV, "--pad", "1,2,3"], "'--pad': 1,2,3 are 3 numbers: must be 1 or 2 or 4"),
        ([*CONV, "--pad", "1,-1"], "'--pad': -1 is not in the range x>=0"),
        (
            [*CONV, "--s", "8"],
            "columns: a kernel of 8 with dilation 1 covers 8, the image",
        ),
        ([*CONV, "--dilation", "3,1"], "rows: a kernel of 3 with dilation 3 covers 7, the image"),
        ([*CONV, "--h", "99999", "--w", "99999"], "operands and result take"),
        ([*CONV, "--out", "int8", "--config", "tiny"], "configuration tiny has no quantizer"),
        ([*GEMM, "--backpressure", "1"], "'--backpressure': 1.0 is not in the range"),
        ([*GEMM, "--latency", "-1"], "'--latency': -1 is not"),
        ([*GEMM, "--seed", "-1"], "'--seed': -1 is not"),
        (["generate"], "Missing option '-o'"),
        (["generate", "-o", "out", "--config", "huge"], "config = 'huge'"),
        (["bench", "warp"], "No such command 'warp'"),
        (["bench", "simspeed", "--config", "huge"], "config = 'huge'"),
    ],
)
@pytest.mark.usefixtures("_fake")
def test_bad_input_is_one_line_and_status_2(
    arguments: list[str], text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert text in complaint(capsys, *arguments)


def test_a_waveform_that_cannot_be_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "no" / "where.vcd"
    assert str(path) in complaint(capsys, *GEMM, "--config", "tiny", "--vcd", str(path))


def test_several_lines_become_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(name: object) -> None:
        raise ConfigError("a", 1, "first\n  second\n")

    monkeypatch.setattr("weft.commands.execute.load_config", fail)
    assert complaint(capsys, *GEMM) == "weft: error: a = 1: first; second\n"


def test_a_host_without_room(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(name: object) -> None:
        raise MemoryError("no room for 9 bytes")

    monkeypatch.setattr("weft.commands.execute.load_config", fail)
    assert complaint(capsys, *GEMM) == "weft: error: out of memory: no room for 9 bytes\n"


def test_interruption(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupt(name: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("weft.commands.execute.load_config", interrupt)
    assert cli.main(GEMM) == 130
    assert capsys.readouterr().err.strip() == "weft: error: interrupted"


def test_as_a_process() -> None:
    def run(*arguments: str) -> Any:
        return subprocess.run(
            [sys.executable, "-m", "weft", *arguments], capture_output=True, text=True
        )

    done = run("--version")
    assert (done.returncode, done.stdout) == (0, "weft 0.1.0\n")
    done = run(*GEMM, "--m", "0")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "weft: error: Invalid value for '--m': 0 is not in the range x>=1.\n"


@pytest.mark.parametrize(
    "arguments",
    [[], ["run"], ["run", "gemm"], ["run", "conv"], ["generate"], ["bench"], ["bench", "simspeed"]],
)
def test_every_command_has_help(arguments: list[str]) -> None:
    result = CliRunner().invoke(cli.weft, [*arguments, "--help"])
    assert result.exit_code == 0
    assert "Usage:" in result.output


@pytest.mark.usefixtures("_fake")
def test_json_is_one_object_with_the_agreed_keys(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([*GEMM, "--json", "--accumulate", "--config", "tiny"]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    result = json.loads(captured.out)
    assert list(result)[:15] == [
        "ok",
        "workload",
        "config",
        "engine",
        "cycles_total",
        "cycles_span",
        "cycles_active",
        "cycles_ideal",
        "macs",
        "utilization_temporal",
        "utilization_mac",
        "movers",
        "dma",
        "sim_seconds",
        "max_abs_error",
    ]
    assert result["ok"] is True
    assert (result["config"], result["engine"]) == ("tiny", "python")
    assert (result["cycles_total"], result["cycles_span"]) == (100, 40)
    assert (result["cycles_active"], result["cycles_ideal"]) == (20, 10)
    assert (result["macs"], result["utilization_temporal"]) == (24, 0.5)
    assert result["utilization_mac"] == 24 / (64 * 100)
    assert set(result["movers"]["A"]) == set(COUNTERS)
    assert result["dma"] == {
        "calls": 3,
        "bds": 4,
        "bytes_read": 20,
        "bytes_written": 24,
        "bus_utilization": round(44 / (2 * 16 * 100), 6),
    }
    assert result["max_abs_error"] == 0
    assert result["via"] == "program"
    assert result["array"] == {"active": 20, "steps": 10, "bubbles": 2}
    assert result["banks"] == [0, 1234]


@pytest.mark.usefixtures("_fake")
def test_a_convolution_has_the_same_keys(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([*GEMM, "--json"]) == 0
    product = json.loads(capsys.readouterr().out)
    options = ["--stride", "2,1", "--pad", "0,1,1,0", "--bias", "--dilation", "1", "--seed", "3"]
    assert cli.main([*CONV, *options, "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert list(result) == list(product)
    assert result["workload"] == {
        "kind": "conv",
        "h": 5,
        "w": 6,
        "c": 3,
        "k": 2,
        "r": 3,
        "s": 3,
        "stride": [2, 1],
        "pad": [[0, 1], [1, 0]],
        "dilation": [1, 1],
        "bias": True,
        "layout": "nhwc",
        "out": "int32",
        "seed": 3,
    }
    assert result["ok"] is True
    assert result["macs"] == 2 * 5 * 2 * 27
    assert cli.main([*CONV, "--stride", "2"]) == 0
    assert "conv 5x6x3 to 2, 3x3 by 2x2 int8 to int32 on datamaestro" in capsys.readouterr().out
    assert cli.main([*CONV, "--bias", "--out", "int8"]) == 0
    assert "conv 5x6x3 to 2, 3x3 int8 to int8 on datamaestro" in capsys.readouterr().out


@pytest.mark.usefixtures("_fake")
def test_a_wrong_convolution_exits_with_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(FakeDevice, "wrong", True)
    assert cli.main(CONV) == 1
    assert "1 of 24 elements differ from numpy's, first at [2, 3, 1]" in capsys.readouterr().err


@pytest.mark.usefixtures("_fake")
def test_the_table_is_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(GEMM) == 0
    out = capsys.readouterr().out
    for text in (
        "gemm 2x3x4 int8 to int32 on datamaestro",
        "verdict",
        "S2MM0",
        "bit-exact",
        "50.0%",
        "1: 1,234",
    ):
        assert text in out
    assert re.search(r"cycles, total .* 100 .* doorbell to completion", out)


@pytest.mark.parametrize("as_json", [False, True])
@pytest.mark.usefixtures("_fake")
def test_a_wrong_result_exits_with_1(
    as_json: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(FakeDevice, "wrong", True)
    assert cli.main([*GEMM, *["--json"] * as_json]) == 1
    captured = capsys.readouterr()
    assert captured.err == (
        "weft: error: 1 of 6 elements differ from numpy's, first at [1, 2], by at most 5\n"
    )
    if as_json:
        result = json.loads(captured.out)
        assert (result["ok"], result["max_abs_error"]) == (False, 5)
    else:
        assert "bit-exact" not in captured.out


def test_workload_limits() -> None:
    with pytest.raises(ConfigError, match="k = 0"):
        GemmWorkload(m=1, n=1, k=0)
    work = GemmWorkload(m=3, n=5, k=7, accumulate=True)
    assert work.bytes == 3 * 7 + 7 * 5 + 2 * 4 * 3 * 5
    large = GemmWorkload(m=8000, n=8000, k=1)
    assert large.memory_bytes % 4096 == 0
    assert large.memory_bytes > large.bytes


@pytest.mark.parametrize(
    ("active", "starved", "blocked", "conflict", "word"),
    [
        (0, 0, 0, 0, "idle"),
        (9, 1, 1, 0, "streaming"),
        (1, 9, 2, 1, "starved"),
        (1, 2, 9, 1, "blocked"),
        (1, 9, 2, 8, "conflict"),
    ],
)
def test_verdict(active: int, starved: int, blocked: int, conflict: int, word: str) -> None:
    counters = dict(zip(COUNTERS, (active, starved, blocked, conflict, 0), strict=True))
    assert verdict(counters) == word


ROW = {
    "config": "tiny",
    "engine": "python",
    "workload": "idle",
    "cycles": 500,
    "seconds": 2.0,
    "cycles_per_second": 250.0,
    "outside_eval_share": 0.0125,
    "build_seconds": 1.5,
    "verilog_bytes": 3_947_928,
    "verilog_seconds": 9.5,
}
ROWS = [
    ROW,
    ROW | {"workload": "gemm 16x16x16", "cycles_per_second": 100.0},
    ROW | {"engine": "verilator", "workload": "gemm 64x64x64", "cycles_per_second": 25_000.0},
]


@pytest.mark.parametrize("ok", [True, False])
def test_simspeed_prints_and_writes_its_rows(
    ok: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(
        "weft.commands.bench._measure", lambda system, engines: [{**row, "ok": ok} for row in ROWS]
    )
    command = ["bench", "simspeed", "--config", "tiny"]
    assert cli.main([*command, "--json", "-o", str(tmp_path / "new" / "speed")]) == int(not ok)
    captured = capsys.readouterr()
    result = json.loads(captured.out)
    assert list(result) == ["bench", "config", "config_hash", "commit", "rows", "summary"]
    assert (result["bench"], result["config"]) == ("simspeed", "tiny")
    assert result["rows"] == ROWS
    assert result["summary"] == {
        "tiny python": 100.0,
        "tiny verilator": 25_000.0,
        "tiny verilator / python": 250.0,
    }
    assert bool(captured.err) is not ok
    assert json.loads((tmp_path / "new" / "speed.json").read_text()) == result
    table = (tmp_path / "new" / "speed.md").read_text()
    assert "| tiny | python | idle | 500 | 2.0 | 250.0 | 0.0125 | 1.5 | 3,947,928 | 9.5 |" in table
    assert cli.main(command) == int(not ok)
    assert "3,947,928" in capsys.readouterr().out


def test_generate_lists_what_it_wrote(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("weft.generate.generate", lambda config, folder: [folder / config.name])
    command = ["generate", "--config", "tiny", "-o", str(tmp_path)]
    assert cli.main(command) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'tiny'}\n"
    assert cli.main([*command, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["files"] == [str(tmp_path / "tiny")]
