import dataclasses
import tomllib
from pathlib import Path

import pytest

from weft.hw.config import (
    AcceleratorConfig,
    ArrayConfig,
    DmaConfig,
    MemoryConfig,
    MoverConfig,
    SequencerConfig,
)
from weft.hw.errors import ConfigError
from weft.hw.mover.descriptor import MAX_WORDS, Descriptor

CONFIGS = Path(__file__).parents[2] / "configs"
NAMES = ["datamaestro", "tiny"]


def load(name: str) -> AcceleratorConfig:
    return AcceleratorConfig.from_toml(CONFIGS / f"{name}.toml")


@pytest.mark.parametrize("name", NAMES)
def test_named_configuration_stands(name: str) -> None:
    config = load(name)
    assert config.name == name
    assert AcceleratorConfig.from_dict(config.as_dict()) == config


def test_datamaestro_is_the_paper_s_system() -> None:
    config = load("datamaestro")
    assert config.memory.bytes == 128 * 1024
    assert config.array is not None
    assert config.array.macs == 512
    assert config.mover("A").loops == 6
    assert [config.mover(name).channels for name in "ABCD"] == [8, 8, 32, 32]


def test_hash_depends_on_every_parameter() -> None:
    config = load("tiny")
    other = dataclasses.replace(config, memory=dataclasses.replace(config.memory, aging=7))
    assert other.hash != config.hash
    assert load("tiny").hash == config.hash


@pytest.mark.parametrize(
    ("section", "values", "message"),
    [
        (MemoryConfig, {"banks": 12}, "memory.banks = 12: must be a power of two"),
        (MemoryConfig, {"rows": 0}, "memory.rows = 0: must be an integer from 2"),
        (MemoryConfig, {"groups": (64,)}, "memory.groups = 64: .* at most 32"),
        (MemoryConfig, {"groups": (8, 8)}, "each group size stands once"),
        (MemoryConfig, {"crossbar_stages": 4}, "crossbar_stages = 4: .* from 1 to 3"),
        (ArrayConfig, {"mu": 0}, "array.mu = 0"),
        (ArrayConfig, {"operand_bits": 4}, "array.operand_bits = 4: only 8 is built yet"),
        (DmaConfig, {"data_bits": 96}, "dma.data_bits = 96"),
        (DmaConfig, {"burst_beats": 128}, "dma.burst_beats = 128: .* from 1 to 64"),
        (DmaConfig, {"read_buffer": 8}, "dma.read_buffer = 8: .* from 16"),
        (DmaConfig, {"aging": 0}, "dma.aging = 0: .* from 1 to 255"),
        (SequencerConfig, {"arguments": 17}, "sequencer.arguments = 17: .* from 1 to 16"),
        (SequencerConfig, {"fetch_beats": 24}, "fetch_beats = 24: must be a power of two"),
        (
            MoverConfig,
            {"name": "A", "kind": "both", "bind": "export"},
            "movers.A.kind = 'both': must be one of",
        ),
        (
            MoverConfig,
            {"name": "A", "kind": "read", "bind": "export"},
            "movers.A.spatial_bounds",
        ),
        (
            MoverConfig,
            {"name": "A", "kind": "read", "bind": "export", "spatial_bounds": (8,), "guards": 5},
            "movers.A.guards = 5: must be an integer from 0 to 4",
        ),
        (
            MoverConfig,
            {
                "name": "A",
                "kind": "read",
                "bind": "export",
                "spatial_bounds": (8,),
                "extensions": ("turner",),
            },
            r"movers.A.extensions = 'turner': is none of transposer, broadcaster",
        ),
        *(
            (
                MoverConfig,
                {"name": "S", "kind": kind, "bind": bind, "extensions": (name,)},
                f"movers.S.extensions = '{name}': works on the {place}",
            )
            for kind, bind, name, place in (
                ("s2mm", "switch", "xor", "bytes between a source and the switch"),
                ("mm2s", "Y", "xor", "bytes between a source and the switch"),
                ("mm2s", "switch", "transposer", "beats of a read mover"),
                ("write", "switch", "transposer", "beats of a read mover"),
            )
        ),
        *(
            (
                MoverConfig,
                {"name": "S", "kind": "read", "bind": "switch", "extensions": names},
                message,
            )
            for names, message in (
                (("xor", "xor"), "each name stands once"),
                (("compare", "xor"), "compare comes last"),
                (("crc32c", "compare"), "a record has the result of one of them"),
                (("xor", "add_constant"), "that work on beats come before those that work on"),
            )
        ),
        *(
            (
                MoverConfig,
                {"name": "S", "kind": "read", "bind": "export", "spatial_bounds": (8,)}
                | {"extensions": names, "replay_depth": depth},
                f"movers.S.replay_depth = {depth}: {message}",
            )
            for names, depth, message in (
                (("repeater",), 0, "must be an integer from 1 to 64"),
                (("repeater",), 128, "must be an integer from 1 to 64"),
                (("repeater",), 3, "must be a power of two"),
                (
                    ("transposer",),
                    2,
                    "must be a power of two, and 1 without the extension repeater",
                ),
            )
        ),
        (MoverConfig, {"name": "M", "kind": "mm2s", "bind": "export"}, "stays inside"),
        (
            MoverConfig,
            {"name": "M", "kind": "mm2s", "bind": "switch", "channel_enable": True},
            "movers.M.channel_enable = True: a DRAM mover has no channels",
        ),
        (
            MoverConfig,
            {
                "name": "A",
                "kind": "read",
                "bind": "export",
                "spatial_bounds": (8,),
                "byte_mask": True,
            },
            "movers.A.byte_mask = True: only a write mover masks bytes",
        ),
        (
            MoverConfig,
            {"name": "M", "kind": "mm2s", "bind": "switch", "prefetch": False},
            "movers.M.prefetch = False: only a scratchpad mover can be without",
        ),
        (
            MoverConfig,
            {"name": "A", "kind": "read", "bind": "export", "spatial_bounds": (64, 4)},
            r"spatial_bounds = \(64, 4\): more than 255 channels",
        ),
        *(
            (MoverConfig, {"name": name, "kind": "read", "bind": "export"}, message)
            for name, message in (
                ("2", "movers.name = '2': must be an identifier"),
                ("é", "movers.name = 'é': must be an identifier of ASCII"),
                ("system", "movers.name = 'system': is what another part"),
                ("observer", "movers.name = 'observer': is what another part"),
                ("Bridge", "movers.name = 'Bridge': is what another part"),
                ("share_A_0", "movers.name = 'share_A_0': is what another part"),
            )
        ),
    ],
)
def test_impossible_section_is_refused(section: type, values: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        section(**values)


def changed(mover: str, **values: object) -> dict:
    tree = tomllib.loads((CONFIGS / "tiny.toml").read_text())
    for table in tree["movers"]:
        if table["name"] == mover:
            table.update(values)
    return tree


PORT_E = {"name": "E", "kind": "write", "bind": "array.e", "spatial_bounds": [4]}
PORT_S = {"name": "S", "kind": "read", "bind": "array.s", "spatial_bounds": [8]}


def quantized(*movers: dict) -> dict:
    tree = changed("A")
    tree["array"]["quantizer"] = True
    return tree | {"movers": [*tree["movers"], *movers]}


def test_a_quantizer_has_its_movers() -> None:
    config = AcceleratorConfig.from_dict(quantized(PORT_E, PORT_S))
    assert config.array is not None
    assert config.array.ports[-2:] == ("array.e", "array.s")
    assert ArrayConfig().ports == ("array.a", "array.b", "array.c", "array.d")


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        (changed("A", spatial_bounds=[8]), "movers.A.bind = 'array.a': beat is 256 bits, port 128"),
        (changed("A", name="B"), "each name once"),
        (changed("A", name="b"), "each name once, whatever the case"),
        (changed("A") | {"name": "two\nlines */"}, "name = 'two.*: must be of ASCII letters"),
        (changed("A") | {"name": ""}, "name = '': must be of ASCII letters"),
        (changed("A") | {"movers": []}, "must be 1 to 30 movers"),
        (changed("A", bind="array.b"), "exactly one mover binds array.a"),
        (changed("A", bind="nobody"), "must be an array port, 'switch', a mover or 'export'"),
        (changed("MM2S0", bind="switch"), "movers.Y.bind = 'MM2S0': a DRAM mover and a"),
        (changed("X", bind="MM2S0"), "name each other"),
        (changed("A", kind="write", extensions=[]), "d and e a write mover"),
        (changed("A", bind="array.e"), "movers.A.bind = 'array.e': needs array.quantizer"),
        (quantized(), "exactly one mover binds array.e"),
        (quantized(PORT_E), "exactly one mover binds array.s"),
        (quantized(PORT_E, PORT_S | {"kind": "write"}), "a, b, c and s take a read mover"),
        (quantized(PORT_E, PORT_S | {"spatial_bounds": [3]}), "beat is 96 bits: must be whole"),
        (quantized(PORT_E, PORT_S | {"spatial_bounds": [12]}), "beat is 384 bits: .*divide 512"),
        (changed("B", reach=3), "movers.B.reach = 3: must be 0"),
        (changed("C", ports=4), "of the same channels, ports, reach and priority"),
        (changed("C", ports=5), r"movers.C.ports = 5: must divide the 16 channels"),
        (changed("C", ports=32), r"movers.C.ports = 32: must be an integer from 0 to 16"),
        (changed("MM2S0", ports=1), r"movers.MM2S0.ports = 1: a DRAM mover has no scratchpad"),
        (changed("C", shares_ports_with="A"), "name each other"),
        (changed("C", reach=8), "of the same channels, ports, reach and priority"),
        (changed("X", spatial_bounds=[2]), "beat is 64 bits, dma.data_bits 128"),
        (changed("A", colour="red"), r"movers\[0\].colour = 'red': is none of"),
        (changed("A", loops="six"), r"movers\[0\].loops = 'six': must be of type int"),
        (changed("A", loops=9), "movers.A.loops = 9"),
        (changed("A", spatial_bounds="8"), "must be a list of integers"),
    ],
)
def test_impossible_combination_is_refused(tree: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        AcceleratorConfig.from_dict(tree)


def test_every_bank_is_reached() -> None:
    # Four channels of every eight banks, and DRAM movers reach none.
    mover = MoverConfig(name="A", kind="read", bind="export", spatial_bounds=(4,), reach=8)
    with pytest.raises(ConfigError, match=r"memory\.banks = 32: no channel .* reaches bank 4"):
        AcceleratorConfig(name="half", movers=(mover,))
    AcceleratorConfig(name="all", movers=(mover, dataclasses.replace(mover, name="B", reach=4)))


def test_a_mover_has_a_mode_with_groups_as_wide_as_its_reach() -> None:
    memory = MemoryConfig(groups=(8, 16, 1))
    assert [memory.modes(reach) for reach in (0, 8, 16, 32)] == [(0, 1, 2), (0, 1), (1,), ()]
    mover = MoverConfig(name="A", kind="read", bind="export", spatial_bounds=(32,), reach=32)
    AcceleratorConfig(name="wide", movers=(mover,))
    with pytest.raises(ConfigError, match=r"movers\.A\.reach = 32: .* power of two of at most 16"):
        AcceleratorConfig(name="narrow", movers=(mover,), memory=memory)


def test_missing_value_and_section() -> None:
    with pytest.raises(ConfigError, match=r"configuration.name = None: must be given"):
        AcceleratorConfig.from_dict({"movers": []})
    tree = tomllib.loads((CONFIGS / "tiny.toml").read_text())
    del tree["array"]
    with pytest.raises(ConfigError, match=r"needs an \[array\]"):
        AcceleratorConfig.from_dict(tree)


def test_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        AcceleratorConfig.from_toml(tmp_path / "absent.toml")
    broken = tmp_path / "broken.toml"
    broken.write_text("name = ")
    with pytest.raises(ConfigError, match="is not TOML"):
        AcceleratorConfig.from_toml(broken)


@pytest.mark.parametrize("name", NAMES)
def test_descriptors_fit_their_slots_and_do_not_overlap(name: str) -> None:
    config = load(name)
    for mover in config.movers:
        descriptor = Descriptor(config, mover)
        assert descriptor.words <= MAX_WORDS
        used: set[int] = set()
        for _, field in descriptor.layout:
            bits = set(range(field.offset, field.offset + field.width))
            assert not bits & used
            used |= bits


def test_descriptor_that_is_too_long_is_refused() -> None:
    mover = MoverConfig(
        name="A", kind="read", bind="export", spatial_bounds=(4, 2, 2), loops=8, guards=4
    )
    config = AcceleratorConfig(name="long", movers=(mover,))
    with pytest.raises(
        ConfigError, match=r"movers.A.loops = 8: with 4 guards .* has 67 words of 64"
    ):
        Descriptor(config, mover)
    Descriptor(config, dataclasses.replace(mover, guards=3))


def test_a_guard_stands_in_whole_words() -> None:
    """Offset; limit; coefficient and dimension (or, of a DRAM guard, its run); deltas."""
    mover = MoverConfig(name="A", kind="read", bind="export", spatial_bounds=(8,), guards=2)
    config = AcceleratorConfig(name="guarded", movers=(mover,))
    fields = Descriptor(config, mover).layout
    # After w0-w7: two words of bounds, three of deltas, one of a spatial stride.
    assert fields["guards"].offset == 32 * (8 + 2 + 3 + 1)
    guard = fields["guards"].shape.elem_shape
    assert {name: (field.offset, field.width) for name, field in guard} == {
        "offset": (0, 32),
        "limit": (32, 31),
        "coefficient": (64, 16),
        "dimension": (80, 2),
        "deltas": (96, 96),
    }
    config = load("tiny")
    guard = Descriptor(config, config.mover("MM2S0")).layout["guards"].shape.elem_shape
    assert {name: (field.offset, field.width) for name, field in guard} == {
        "offset": (0, 32),
        "limit": (32, 31),
        "run": (63, 1),
        "deltas": (64, 128),
    }


def test_records_take_a_burst_of_32_bytes_and_a_result_takes_records() -> None:
    dma = {"data_bits": 64, "burst_beats": 2, "read_buffer": 2, "write_buffer": 2}
    movers = [
        {"name": "R", "kind": "mm2s", "bind": "switch"},
        {"name": "W", "kind": "s2mm", "bind": "switch"},
        {"name": "A", "kind": "read", "bind": "export", "spatial_bounds": [2]},
    ]
    memory = {"banks": 2, "groups": [2]}
    plain = {"name": "recorded", "memory": memory, "movers": movers, "dma": dma}
    assert not AcceleratorConfig.from_dict(plain).mover("R").has_result
    for recording in ({"dma": dma | {"records": True}}, {"sequencer": {}}):
        with pytest.raises(ConfigError, match=r"dma.burst_beats = 2: .* one burst of 32 bytes"):
            AcceleratorConfig.from_dict(plain | recording)
    checks = [movers[0] | {"extensions": ["crc32c"]}, *movers[1:]]
    with pytest.raises(ConfigError, match=r"movers.R.extensions = .*: needs dma.records"):
        AcceleratorConfig.from_dict(plain | {"movers": checks})
    longer = dma | {"burst_beats": 4, "read_buffer": 4, "write_buffer": 4, "records": True}
    built = AcceleratorConfig.from_dict(plain | {"movers": checks, "dma": longer})
    assert built.mover("R").has_result


def test_a_source_that_compares_is_a_sink_and_takes_another_source() -> None:
    comparer = {"name": "R", "kind": "mm2s", "bind": "switch", "extensions": ["compare"]}
    other = {"name": "S", "kind": "mm2s", "bind": "switch"}
    rest = {"name": "A", "kind": "read", "bind": "export", "spatial_bounds": [2]}
    values = {
        "name": "compared",
        "memory": {"banks": 2, "groups": [2]},
        "dma": {"records": True},
        "movers": [comparer, other, rest],
    }
    built = AcceleratorConfig.from_dict(values)
    assert (built.switch_sources, built.switch_sinks) == (("R", "S"), ("R",))
    assert built.switch_ends(built.mover("R")) == built.switch_ends(built.mover("S")) == ("R",)
    assert built.switch_ends(built.mover("R"), meets=True) == ("R", "S")
    with pytest.raises(ConfigError, match=r"movers.R.extensions = .*: there is no other source"):
        AcceleratorConfig.from_dict(values | {"movers": [comparer, rest]})


def test_extensions_that_do_not_take_the_mover_s_beats():
    mover = {"name": "A", "kind": "read", "bind": "export", "spatial_bounds": [4]}
    plain = {"name": "plain", "memory": {"bank_bits": 64}}
    message = "movers.A.extensions = 'transposer': takes a square tile of bytes, not beats of 32"
    with pytest.raises(ConfigError, match=message):
        AcceleratorConfig.from_dict(plain | {"movers": [mover | {"extensions": ["transposer"]}]})
    movers = [mover | {"extensions": ["broadcaster", "add_constant"]}]
    found = AcceleratorConfig.from_dict(plain | {"movers": movers}).mover("A")
    assert found.beat_extensions == ("broadcaster", "add_constant")
    assert found.byte_extensions == ()
