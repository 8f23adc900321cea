"""`weft area` on a small system, and the names of the parts."""

import json
from pathlib import Path
from typing import Any

import pytest

from weft import cli
from weft.area.parts import part
from weft.area.targets import TARGETS
from weft.commands.area import TARGET_NAMES

from ...support.small import SMALL


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ((), "control.top"),
        (("accelerator",), None),
        (("accelerator", "bridge"), "control.bridge"),
        (("accelerator", "pages"), "control.decoder"),
        (("accelerator", "A"), "A.core"),
        (("accelerator", "A", "core"), None),
        (("accelerator", "A", "port", "channel_11"), "A.channel"),
        (("accelerator", "MM2S0", "port"), "MM2S0.port"),
        (("accelerator", "share_C_3"), "C.share"),
        (("accelerator", "share_reads"), "dma.share_reads"),
        (("accelerator", "switch"), "dma.switch"),
        (("accelerator", "extension_P_0_add_constant"), "P_0.extension"),
        (("accelerator", "A", "port", "beats"), "A.beats"),
        (("accelerator", "A", "chain", "transposer"), None),
        (("accelerator", "lock_host"), "control.locks"),
        (("accelerator", "sequencer"), "control.sequencer"),
        (("accelerator", "sequencer", "fetcher"), None),
        (("accelerator", "scratchpad", "bank_31"), "scratchpad.bank"),
        (("accelerator", "scratchpad", "bank_31", "choose"), None),
        (("accelerator", "array"), "array.control"),
        (("accelerator", "array", "mesh"), None),
        (("accelerator", "array", "mesh", "element_0_7"), "array.element"),
    ],
)
def test_parts(path: tuple[str, ...], name: str | None) -> None:
    assert part(path) == name


def test_the_command_offers_every_target() -> None:
    assert tuple(TARGETS) == TARGET_NAMES


@pytest.fixture
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEFT_CACHE", str(tmp_path / "cache"))


def asked(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    assert cli.main(["area", *arguments, "--json"]) == 0
    result: dict[str, Any] = json.loads(capsys.readouterr().out)
    return result


@pytest.mark.usefixtures("_own_cache")
def test_a_small_system(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "small.toml"
    config.write_text(SMALL)
    arguments = ("--config", str(config), "--target", "generic")
    result = asked(capsys, *arguments)
    assert result.keys() == {"bench", "config", "config_hash", "commit", "rows", "summary"}
    assert (result["bench"], result["config"]) == ("area", "small")
    rows, summary = {row["module"]: row for row in result["rows"]}, result["summary"]
    for name in ("W.channel", "scratchpad.bank"):
        assert rows[name]["instances"] == 2
    for column in ("luts", "ffs", "cells"):
        assert summary[column] == sum(row[column] for row in rows.values()) > 0
    for column in ("luts", "ffs"):
        assert sum(row[f"share_{column}"] for row in rows.values()) == pytest.approx(1, abs=0.01)
        assert summary[f"streamers_{column}"] == sum(
            row[column] for row in rows.values() if row["group"] == "W"
        )
        assert summary[f"dma_{column}"] == 0
    assert summary["crossbar_luts"] == sum(
        row["luts"] for row in rows.values() if row["group"] == "scratchpad"
    )
    assert rows["W.channel"]["distinct"] == 1
    assert summary["synthesized"] == summary["distinct_blocks"]

    # Again: neither elaboration nor synthesis.
    monkeypatch.setattr("weft.area.parts.Top", None)
    monkeypatch.setattr("weft.area.yosys.Yosys.synthesize", None)
    again = asked(capsys, *arguments)
    assert again["rows"] == result["rows"]
    assert again["summary"]["synthesized"] == 0
    assert cli.main(["area", *arguments]) == 0
    table = capsys.readouterr().out
    assert "streamers" in table
    assert f"{summary['luts']:,}" in table


@pytest.mark.usefixtures("_own_cache")
def test_bad_input(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    for arguments, text in (
        (["--target", "asic"], "'asic' is not one of"),
        (["--config", "huge"], "config = 'huge'"),
    ):
        assert cli.main(["area", *arguments]) == 2
        captured = capsys.readouterr()
        assert captured.err.startswith("weft: error: ")
        assert text in captured.err
    (tmp_path / "cache").write_text("no folder")
    assert cli.main(["area", "--config", "tiny"]) == 2
    assert "cannot write the cache folder" in capsys.readouterr().err
