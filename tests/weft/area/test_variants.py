"""Each variant is the system with one parameter of its crossbar changed."""

from dataclasses import asdict, replace
from pathlib import Path

from weft.area.variants import crossbar_variants
from weft.config import load_config
from weft.hw.config import AcceleratorConfig

from ...support.small import SMALL


def test_the_variants_of_a_system() -> None:
    assert [variant.title for variant in crossbar_variants(load_config("datamaestro"))] == [
        "as configured",
        "C, D ports 16",
        "C, D ports 8",
        "A reach 8",
        "B reach all",
        "C, D reach all",
        "E reach all",
        "S reach all",
        "X, Y reach 8",
        "stages 2",
        "stages 3",
    ]


def test_what_the_system_has_is_left_out_and_what_it_had_not_is_there() -> None:
    config = load_config("tiny")
    memory = replace(config.memory, crossbar_stages=2)
    movers = tuple(
        replace(mover, ports=8, reach=0) if mover.name in "CD" else mover for mover in config.movers
    )
    changed = replace(config, memory=memory, movers=movers)
    titles = [variant.title for variant in crossbar_variants(changed)]
    assert titles[1:3] == ["C, D ports 16", "C, D ports 4"]
    assert titles[5:6] == ["C, D reach 4"]
    assert titles[-2:] == ["stages 1", "stages 3"]


def test_one_parameter_is_changed() -> None:
    config = load_config("tiny")
    first, *others = crossbar_variants(config)
    assert first.config == config
    for variant in others:
        if variant.parameter == "stages":
            name = "crossbar_stages"
            assert not variant.movers
            before, after = [asdict(config.memory)], [asdict(variant.config.memory)]
            kept = replace(variant.config, memory=config.memory)
        else:
            name = variant.parameter
            before, after = (
                [asdict(whole.mover(mover)) for mover in variant.movers]
                for whole in (config, variant.config)
            )
            kept = replace(
                variant.config,
                movers=tuple(
                    config.mover(mover.name) if mover.name in variant.movers else mover
                    for mover in variant.config.movers
                ),
            )
        assert kept == config
        for old, new in zip(before, after, strict=True):
            assert {key for key in old if old[key] != new[key]} == {name}
            assert new[name] == variant.value


def test_a_mover_that_is_alone_may_not_leave_a_bank_unreached(tmp_path: Path) -> None:
    path = tmp_path / "small.toml"
    path.write_text(SMALL.replace("banks = 2", "banks = 4").replace("[2, 1]", "[4, 1]"))
    variants = list(crossbar_variants(AcceleratorConfig.from_toml(path)))
    assert not [variant for variant in variants if variant.parameter == "reach"]
