"""The canonical form: what is alike reads alike, and does what the original does."""

import re

import pytest

from weft.area.netlist import NetlistError, cut
from weft.area.yosys import Yosys
from weft.yowasp import ProgramError

from .designs import Lane, Lanes, Pipeline, lanes, netlist


def test_a_block_for_each_path_asked_for() -> None:
    assert [block.path for block in lanes()] == [
        (),
        *((f"lane_{index}",) for index in range(4)),
    ]
    (whole,) = cut(netlist(Lanes()), "top", lambda path: False)
    assert "blackbox" not in whole.text


def test_blocks_that_are_alike_have_one_key() -> None:
    top, first, second, third, other = lanes()
    # They read different bytes of one row.
    assert first.key == second.key == third.key
    assert first.text == second.text
    assert len({top.key, first.key, other.key}) == 3


def test_blocks_that_differ_in_constants_alone_have_one_shape() -> None:
    three, two, five, narrow = (
        cut(netlist(lane), "top", lambda path: False)[0]
        for lane in (
            Lane(index=0),
            Lane(index=0, step=2),
            Lane(index=0, step=5),
            Lane(index=0, width=9),
        )
    )
    assert three.key != two.key
    assert three.shape == two.shape
    # Of three bits, so the sum is wider, too.
    assert three.shape != five.shape
    assert three.shape != narrow.shape


def test_blocks_below_are_black_boxes_and_the_rest_is_inside() -> None:
    top, first, *_ = lanes()
    assert top.text.count("attribute \\blackbox 1") == 1
    assert "blackbox" not in first.text
    assert len(re.findall(r"^module ", first.text, re.MULTILINE)) == 2


def test_names_say_nothing() -> None:
    assert not re.search(r"lane|row|enable|total|sum", "".join(block.text for block in lanes()))


def test_unread_bits_of_an_input_are_gone() -> None:
    first = lanes()[1]
    top = first.text.index(f"module \\{first.top}\n")
    widths = re.findall(r"wire width (\d+) input", first.text[top:])
    assert sorted(map(int, widths)) == [1, 1, 1, 8]  # clk, rst, enable, a byte of the row


def test_the_canonical_form_does_what_the_original_does() -> None:
    """Proved for all inputs of the first cycles. Ports correspond by width."""
    original = netlist(Pipeline())
    (whole,) = cut(original, "top", lambda path: False)
    rewritten = whole.text[whole.text.index(f"module \\{whole.top}\n") :]
    names = _ports(original[original.index("module \\top\n") :])
    clock = re.search(r"connect \\CLK \\(\S+) ", rewritten)
    assert clock is not None
    (reset,) = set(re.findall(r"wire width 1 input \d+ \\(\S+)", rewritten)) - {clock[1]}
    renamings = [f"rename {clock[1]} clk", f"rename {reset} rst"]
    for width, port in _ports(rewritten).items():
        renamings.append(f"rename {port[1:]} {names[width][1:]}")
    script = f"""
        setattr -mod -unset top top
        proc
        flatten
        memory
        rename top gold
        rename {whole.top} gate
        cd gate
        {"; ".join(renamings)}
        cd ..
        miter -equiv -flatten gold gate miter
        hierarchy -top miter
        sat -verify -seq 6 -prove trigger 0 miter
    """
    with Yosys() as yosys:
        yosys.synthesize(original + whole.text, script, "the miter")
        wrong = whole.text.replace("cell $sub", "cell $add")
        with pytest.raises(ProgramError, match=r"failed on a wrong miter: .*ERROR"):
            yosys.synthesize(original + wrong, script, "a wrong miter")


def _ports(module: str) -> dict[int, str]:
    """The ports of a module by width, without clock and reset."""
    declared = re.findall(r"wire width (\d+) (?:in|out)put \d+ +(?:signed +)?(\S+)", module)
    return {int(width): name for width, name in declared if width != "1"}


@pytest.mark.parametrize(
    ("text", "top", "message"),
    [
        ("module \\a\nend\n", "b", "the netlist has no module b"),
        ("module \\a\n  cell \\b \\c\n  end\nend\n", "a", "the netlist has no module b"),
        ("module \\a\n  wire bool \\x\nend\n", "a", "module a: cannot read 'wire bool"),
        ("module \\a\n  sing \\x\nend\n", "a", "module a: cannot read 'sing"),
        ("module \\a\n  connect \\x 1'0\nend\n", "a", "module a: \\x is not declared"),
    ],
)
def test_a_netlist_of_another_kind_is_refused(text: str, top: str, message: str) -> None:
    with pytest.raises(NetlistError, match=re.escape(message)):
        cut(text, top, lambda path: False)
