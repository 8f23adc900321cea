"""`weft area --sweep crossbar`: what each variant costs, and how long a product takes on it."""

import json
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from weft import cli
from weft.area import crossbar_variants, sweep
from weft.area.sweep import product_cycles
from weft.commands.area import SWEEPS
from weft.config import load_config
from weft.hw.config import AcceleratorConfig

from ...support.small import SMALL

PAIR = (
    SMALL
    + """
shares_ports_with = "R"

[[movers]]
name = "R"
kind = "read"
bind = "export"
spatial_bounds = [2]
loops = 1
address_depth = 2
data_depth = 2
descriptors = 1
queue_depth = 1
shares_ports_with = "W"
"""
)


def written(folder: Path, text: str) -> Path:
    path = folder / "system.toml"
    path.write_text(text)
    return path


@pytest.fixture
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEFT_CACHE", str(tmp_path / "cache"))


@pytest.mark.soak
@pytest.mark.usefixtures("_own_cache")
def test_fewer_ports_are_a_smaller_crossbar_and_larger_movers(tmp_path: Path) -> None:
    variants = islice(crossbar_variants(AcceleratorConfig.from_toml(written(tmp_path, SMALL))), 2)
    result = sweep(variants, "generic")
    both, one = result["rows"]
    assert (both["variant"], one["variant"]) == ("as configured", "W ports 1")
    assert (both["ports"], both["requesters"], both["crossings"]) == (2, 2, 4)
    assert (one["ports"], one["requesters"], one["crossings"]) == (1, 1, 2)
    for row in (both, one):
        for column in ("luts", "ffs"):
            assert row[column] == row[f"crossbar_{column}"] + row[f"movers_{column}"]
        assert row["product"] is row["cycles_total"] is row["refused"] is None  # there is no array
    assert 0 < one["crossbar_luts"] < both["crossbar_luts"]
    assert one["crossbar_ffs"] < both["crossbar_ffs"]  # whose turn it is
    assert one["movers_luts"] > both["movers_luts"]
    assert one["movers_ffs"] > both["movers_ffs"]


@pytest.mark.soak
@pytest.mark.usefixtures("_own_cache")
def test_the_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ["area", "--config", str(written(tmp_path, PAIR)), "--target", "generic"]
    capsys.readouterr()

    def asked(*options: str) -> dict[str, Any]:
        assert cli.main([*arguments, *options, "--json"]) == 0
        answer: dict[str, Any] = json.loads(capsys.readouterr().out)
        return answer

    result = asked("--sweep", "crossbar")
    assert result.keys() == {"bench", "config", "config_hash", "commit", "rows", "summary"}
    assert result["bench"] == "area-crossbar"
    rows = {row["variant"]: row for row in result["rows"]}
    assert list(rows) == ["as configured", "R, W ports 1", "R, W reach 2", "stages 2", "stages 3"]
    first, _, near, two, three = rows.values()
    assert near["crossbar_luts"] < first["crossbar_luts"]
    # Bank, row and word, registered; then the responses.
    assert first["crossbar_ffs"] < two["crossbar_ffs"] < three["crossbar_ffs"]
    # Nothing is missing in a row, and nothing stands in it twice. A bank and the next differ a bit.
    whole = asked()["summary"]
    for column in ("luts", "ffs"):
        assert first[f"crossbar_{column}"] == pytest.approx(whole[f"crossbar_{column}"], rel=0.05)
        assert first[f"movers_{column}"] == pytest.approx(whole[f"streamers_{column}"], rel=0.01)

    # Again: neither elaboration nor synthesis.
    monkeypatch.setattr("weft.area.parts.Top", None)
    monkeypatch.setattr("weft.area.yosys.Yosys.synthesize", None)
    again = asked("--sweep", "crossbar")
    assert again["rows"] == result["rows"]
    assert again["summary"]["synthesized"] == 0
    assert cli.main([*arguments, "--sweep", "crossbar"]) == 0
    table = capsys.readouterr().out
    for row in result["rows"]:
        assert row["variant"] in table
        assert f"{row['luts']:,}" in table


def test_cycles_of_a_product() -> None:
    tiny = load_config("tiny")
    found = product_cycles(tiny, tiles=4)
    assert found["product"] == "gemm 16x16x16"
    assert found["refused"] is None
    assert 4 * 4 * 4 <= found["cycles_active"] < found["cycles_total"]


@pytest.mark.soak
def test_what_the_driver_cannot_do_is_refused() -> None:
    (variant,) = (v for v in crossbar_variants(load_config("tiny")) if v.title == "X, Y reach 4")
    found = product_cycles(variant.config, tiles=4)
    assert found["cycles_active"] is found["cycles_total"] is None
    assert "only reaches banks that are" in found["refused"]


def test_a_sweep_is_of_many_systems(capsys: pytest.CaptureFixture[str]) -> None:
    assert SWEEPS == ("crossbar",)
    assert cli.main(["area", "--sweep", "crossbar", "--flat"]) == 2
    assert "--flat compares one system" in capsys.readouterr().err
