"""Configurations by name and by file, and the public face."""

import subprocess
import sys
from pathlib import Path

import pytest

import weft
from weft.config import config_names, load_config
from weft.engines import dram_parameters, open_simulation
from weft.hw.errors import ConfigError, WeftError
from weft.hw.version import __version__
from weft.sim.dram import DramParameters


def test_every_named_configuration_loads() -> None:
    assert config_names() == ["datamaestro", "dma", "ecp5", "tiny"]
    for name in config_names():
        assert load_config(name).name == name


def test_a_file_loads(tmp_path: Path) -> None:
    text = (Path(__file__).parents[2] / "configs" / "tiny.toml").read_text()
    path = tmp_path / "mine.toml"
    path.write_text(text.replace('name = "tiny"', 'name = "mine"'))
    assert load_config(path).name == "mine"
    assert load_config(str(path)).name == "mine"


def test_unknown_names_and_files_say_what_there_is(tmp_path: Path) -> None:
    names = "datamaestro, dma, ecp5, tiny"
    with pytest.raises(ConfigError, match=rf"config = 'huge': .* one of {names}"):
        load_config("huge")
    with pytest.raises(ConfigError, match="No such file"):
        load_config(tmp_path / "none.toml")


def test_public_names_load_on_first_use() -> None:
    assert weft.__version__ == __version__
    names = {"MemRef", "Quantization", "Rounding", "RuntimeSequence", "__version__", "simulate"}
    assert set(dir(weft)) == names
    assert callable(weft.simulate)
    assert weft.MemRef.__name__ == "MemRef"
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        weft.nothing  # noqa: B018 - the access is the test
    code = "import sys, weft; print([n for n in sys.modules if n.startswith('weft.s')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_dram_settings() -> None:
    base = DramParameters(read_outstanding=3)
    assert dram_parameters(base) == base
    changed = dram_parameters(base, latency=7, backpressure=0.5, seed=9)
    assert (changed.read_latency, changed.write_latency, changed.read_outstanding) == (7, 7, 3)
    assert {getattr(changed, f"stall_{c}") for c in ("ar", "r", "aw", "w", "b")} == {128}
    assert changed.seed == 9
    assert dram_parameters(backpressure=0.9999).stall_r == 255
    with pytest.raises(ConfigError, match=r"backpressure = 1.0"):
        dram_parameters(backpressure=1.0)


def test_an_engine_that_is_not_there() -> None:
    with pytest.raises(WeftError, match="engine = 'abacus'"):
        open_simulation(load_config("tiny"), "abacus")
