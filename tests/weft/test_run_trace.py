"""``weft run --trace``: the file is there after a run, good or bad."""

import json
from pathlib import Path
from typing import Any

import pytest

from weft import cli
from weft.hw.errors import WeftError

GEMM = ["run", "gemm", "--engine", "python", "--config", "tiny"]
GEMM += ["--m", "2", "--n", "3", "--k", "4"]


def test_a_run_leaves_a_timeline(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "run.json"
    assert cli.main([*GEMM, "--trace", str(path), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    events = json.loads(path.read_text())["traceEvents"]
    names = {event["name"] for event in events}
    assert {"load A 0,0", "load B 0,0", "tile 0,0", "store 0,0"} <= names
    steps = [event["dur"] for event in events if event["name"] == "step"]
    assert sum(steps) == result["array"]["steps"]


class FailedSimulation:
    """Has run for ten cycles and recorded nothing."""

    engine = "python"
    cycles = 10

    def observed(self) -> list[tuple[int, int]]:
        return []

    def __enter__(self) -> "FailedSimulation":
        return self

    def __exit__(self, *exception: object) -> None: ...


class Device:
    def __init__(self, *arguments: Any) -> None:
        self.program = type("Program", (), {})()


def test_a_run_that_fails_leaves_one_too(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*arguments: object, **options: object) -> None:
        raise WeftError("the array is on strike")

    asked: dict[str, Any] = {}
    monkeypatch.setattr(
        "weft.commands.execute.open_simulation",
        lambda *arguments, **options: asked.update(options) or FailedSimulation(),
    )
    monkeypatch.setattr("weft.commands.execute.Device", Device)
    monkeypatch.setattr("weft.commands.execute.run_workload", fail)
    path = tmp_path / "run.json"
    assert cli.main([*GEMM, "--trace", str(path)]) == 2
    assert capsys.readouterr().err == "weft: error: the array is on strike\n"
    assert json.loads(path.read_text())["traceEvents"]
    assert asked["observed"] is True


def test_a_timeline_that_cannot_be_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "no" / "where.json"
    assert cli.main([*GEMM, "--trace", str(path)]) == 2
    assert str(path) in capsys.readouterr().err
