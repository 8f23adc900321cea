"""Layouts for viewers name what is in the waveform."""

from pathlib import Path

import pytest

from weft.config import load_config
from weft.engines import open_simulation
from weft.sim.layout import SCOPES, waveform_groups, write_layout
from weft.sim.verilator.bench import BENCH_NAME

TINY = load_config("tiny")


def declared(header: str) -> dict[str, int]:
    """Full names and widths of the variables in the header of a VCD file."""
    scopes: list[str] = []
    widths = {}
    for line in header.splitlines():
        words = line.split()
        if words[:1] == ["$scope"]:
            scopes.append(words[2])
        elif words[:1] == ["$upscope"]:
            scopes.pop()
        elif words[:1] == ["$var"]:
            widths[".".join((*scopes, words[4]))] = int(words[2])
    assert not scopes
    return widths


@pytest.fixture(scope="module")
def waveform(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("waveform") / "run.vcd"
    with open_simulation(TINY, "python", waveform=path, memory_bytes=4096) as simulation:
        simulation.read_register(0)
    return path


def test_every_signal_is_in_the_waveform(waveform: Path) -> None:
    with waveform.open() as file:
        header = file.read().partition("$enddefinitions")[0]
    widths = declared(header)
    signals = [signal for _, group in waveform_groups(TINY) for signal in group]
    assert len(signals) > 100
    for signal in signals:
        assert widths[signal.path("python")] == signal.bits("python")


def test_gtkwave_save_file(waveform: Path) -> None:
    lines = waveform.with_name("run.vcd.gtkw").read_text().splitlines()
    assert lines[0] == f'[dumpfile] "{waveform}"'
    assert "-system" in lines
    for mover in TINY.movers:
        assert lines.count(f"-{mover.name}") == 2
    for _, group in waveform_groups(TINY):
        for signal in group:
            bits = signal.bits("python")
            suffix = f"[{bits - 1}:0]" if bits > 1 else ""
            assert any(line.endswith(f"}} {signal.path('python')}{suffix}") for line in lines)


def test_surfer_commands(waveform: Path) -> None:
    lines = waveform.with_name("run.vcd.sucl").read_text().splitlines()
    known = {signal.path("python") for _, group in waveform_groups(TINY) for signal in group}
    words = [line.split() for line in lines]
    assert {word[0] for word in words} == {"divider_add", "variable_add", "zoom_fit"}
    added = [word[1] for word in words if word[0] == "variable_add"]
    assert set(added) <= known
    assert f"{SCOPES['python']}.m_axi_rvalid" in added


def test_layout_of_the_compiled_engine_has_its_names(tmp_path: Path) -> None:
    # Its names inside the top are those of the Verilog, where a test of that looks for them.
    assert SCOPES["verilator"] == f"{BENCH_NAME}.weft"
    save, _ = write_layout(tmp_path / "run.fst", TINY, engine="verilator")
    assert save.name == "run.fst.gtkw"
    text = save.read_text()
    assert "bench.weft.accelerator.A.core.monitor.port__activity.valid" in text
    assert "bench.top" not in text
