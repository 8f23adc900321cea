"""The DMA's stream operators against what they mean."""

import random

import pytest
from amaranth.back import verilog
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import flipped

from support.operators import as_beats, as_bytes, operate, random_bds
from weft.hw.bus.elements import add_constant_word
from weft.hw.bus.wires import adopt
from weft.hw.dma.operators import AddConstant, Compare, Crc32c, Xor
from weft.hw.dma.operators.compare import EQUAL
from weft.hw.dma.switch import StreamSwitch
from weft.sim.golden.operators import add_constant, compared, crc32c, fill

WIDTHS = [64, 128, 256, 512]
SEEDS = [pytest.param(seed, marks=pytest.mark.soak if seed >= 2 else ()) for seed in range(20)]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("width", [32, *WIDTHS])
def test_crc32c(width, seed):
    toss, lanes = random.Random(repr((width, seed))), width // 8
    dut = Crc32c(width=width, results=toss.choice([1, 2, 16]))
    bds = random_bds(toss, lanes, 20)
    before = [toss.choice([0, toss.getrandbits(32)]) for _ in bds]
    beats = as_beats(bds, lanes)
    (passed, results), _ = operate(
        dut,
        [(dut.i, beats), (dut.operator, before)],
        [(dut.o, len(beats)), (dut.o_result, len(bds))],
        toss=toss,
    )
    assert as_bytes(passed, lanes) == bds
    assert [result.value for result in results] == [
        crc32c(bd, seed) for bd, seed in zip(bds, before, strict=True)
    ]
    assert not any(result.error for result in results)


@pytest.mark.parametrize("width", WIDTHS)
def test_crc32c_gives_the_check_value_whole_and_in_parts(width):
    dut, lanes = Crc32c(width=width), width // 8
    message = b"123456789"
    cuts = [(message[:k], message[k:]) for k in range(1, 9)]
    bds = [message, *(part for cut in cuts for part in cut)]
    before = [0]
    for head, _ in cuts:
        before += [0, crc32c(head)]
    beats = as_beats(bds, lanes)
    (_, results), _ = operate(
        dut,
        [(dut.i, beats), (dut.operator, before)],
        [(dut.o, len(beats)), (dut.o_result, len(bds))],
    )
    assert crc32c(message) == 0xE3069283
    assert results[0].value == 0xE3069283
    assert [result.value for result in results[2::2]] == [0xE3069283] * 8


@pytest.mark.parametrize("width", WIDTHS)
def test_crc32c_of_every_length_of_the_last_beat(width):
    dut, lanes = Crc32c(width=width), width // 8
    message = random.Random(width).randbytes(2 * lanes)
    bds = [message[:size] for size in range(1, 2 * lanes + 1)]
    beats = as_beats(bds, lanes)
    (_, results), (times, result_times) = operate(
        dut,
        [(dut.i, beats), (dut.operator, [0] * len(bds))],
        [(dut.o, len(beats)), (dut.o_result, len(bds))],
    )
    assert [result.value for result in results] == [crc32c(bd) for bd in bds]
    # A beat passes in the cycle in which it is offered, and results come at the latency stated.
    assert times == list(range(len(beats)))
    ends = [time for time, beat in zip(times, beats, strict=True) if beat["end"]]
    assert result_times == [time + 3 + lanes.bit_length() for time in ends]


def test_crc32c_says_whose_bytes_are_spoilt():
    dut = Crc32c(width=64)
    bds = [bytes(8), bytes(20), bytes(16), bytes(3)]
    beats = as_beats(bds, 8, spoilt=[2, 6])
    (passed, results), _ = operate(
        dut,
        [(dut.i, beats), (dut.operator, [0] * 4)],
        [(dut.o, len(beats)), (dut.o_result, 4)],
    )
    assert [beat.error for beat in passed] == [0, 0, 1, 0, 0, 0, 1]
    assert [result.error for result in results] == [0, 1, 0, 1]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("width", [32, 64, 512])
def test_xor(width, seed):
    toss, lanes = random.Random(repr((width, seed))), width // 8
    dut = Xor(width=width)
    bds = random_bds(toss, lanes, 20)
    patterns = [toss.choice([0, toss.getrandbits(32)]) for _ in bds]
    beats = as_beats(bds, lanes)
    (passed,), _ = operate(
        dut, [(dut.i, beats), (dut.operator, patterns)], [(dut.o, len(beats))], toss=toss
    )
    assert as_bytes(passed, lanes) == [
        bytes(a ^ b for a, b in zip(bd, fill(pattern, len(bd)), strict=True))
        for bd, pattern in zip(bds, patterns, strict=True)
    ]


def test_xor_passes_a_beat_a_cycle_across_bds():
    dut = Xor(width=64)
    beats = as_beats([bytes(n) for n in (1, 8, 9, 16, 40, 7)], 8)
    _, (times,) = operate(dut, [(dut.i, beats), (dut.operator, range(6))], [(dut.o, 12)])
    assert times == list(range(times[0], times[0] + 12))


class Meeting(wiring.Component):
    """A comparer on a switch: source 0 and sink 0; source 1 is the other one, sink 1 takes all."""

    def __init__(self, *, width, results):
        super().__init__({})
        self.compare = Compare(width=width, results=results)
        self.switch = StreamSwitch(sources=2, sinks=2, width=width)
        adopt(self.switch, "o", [flipped(self.compare.i_other), self.switch.o[1]])

    def elaborate(self, platform):
        m = Module()
        m.submodules.compare = compare = self.compare
        m.submodules.switch = switch = self.switch
        taken = switch.o[1].valid & switch.o[1].ready
        wiring.connect(m, compare.o, switch.i[0])
        wiring.connect(m, compare.source_route, switch.source_routes[0])
        wiring.connect(m, compare.sink_route, switch.sink_routes[0])
        m.d.comb += [
            switch.finished[0].eq(compare.finished),
            switch.finished[1].eq(taken & switch.o[1].payload.end),
        ]
        return m


def meeting(given, *, width, words=None, results=16, spoilt=((), ()), toss=None):
    """Play `given`, pairs of BDs: what sink 1 took, the results, and when.

    A BD without other, and an other without BD, pass to sink 1; `spoilt` are numbers of beats.
    Others whose numbers are even go to both sinks.
    """
    dut, lanes = Meeting(width=width, results=results), width // 8
    compare, switch = dut.compare, dut.switch
    own = [(a, {"ends": 1, "meets": 1} if b else {"ends": 2, "meets": 0}) for a, b in given if a]
    masks = [(0b01 if k % 2 else 0b11) if a else 0b10 for k, (a, b) in enumerate(given) if b]
    passed = [(0, a) if not b else (1, b) for k, (a, b) in enumerate(given) if not b or not k % 2]
    streams = [[a for a, _ in own], [b for _, b in given if b]]
    beats = [as_beats(bds, lanes, spoilt[k]) for k, bds in enumerate(streams)]
    (taken, found), times = operate(
        dut,
        [
            (compare.i, beats[0]),
            (switch.i[1], beats[1]),
            (compare.route, [route for _, route in own]),
            (compare.operator, words or [0] * len(own)),
            (switch.source_routes[1], masks),
            (switch.sink_routes[1], [source for source, _ in passed]),
        ],
        [
            (switch.o[1], len(as_beats([bd for _, bd in passed], lanes))),
            (compare.o_result, len(own)),
        ],
        toss=toss,
        limit=20_000,
    )
    assert as_bytes(taken, lanes) == [bd for _, bd in passed]
    return found, times


def pairs(toss, lanes, count):
    """Messages: the same, with a byte or a few changed, one of them shorter, or one alone."""
    for number, message in enumerate(random_bds(toss, lanes, count)):
        if toss.random() < 0.25:
            # A sink takes the other's BDs in turn with those that pass.
            yield (message, b"") if number % 2 or toss.random() < 0.5 else (b"", message)
            continue
        other = bytearray(message)
        for _ in range(toss.choice([0, 1, 3])):
            other[toss.randrange(len(other))] ^= 1 << toss.randrange(8)
        if toss.random() < 0.4:
            other = other[: toss.randint(1, len(other))]
        yield (message, bytes(other)) if toss.random() < 0.5 else (bytes(other), message)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("width", [32, *WIDTHS])
def test_compare(width, seed):
    toss, lanes = random.Random(repr((width, seed))), width // 8
    given = list(pairs(toss, lanes, 20))
    words = [
        toss.choice([0, toss.getrandbits(32), (1 << 32) - lanes, (1 << 32) - 1])
        for own, _ in given
        if own
    ]
    found, _ = meeting(given, width=width, words=words, results=toss.choice([1, 3, 16]), toss=toss)
    expected = [
        compared(own, other, word) if other else EQUAL
        for (own, other), word in zip([pair for pair in given if pair[0]], words, strict=True)
    ]
    assert [(result.value, result.error) for result in found] == [(n, 0) for n in expected]


def test_compare_takes_a_beat_a_cycle_and_tells_two_cycles_after_the_last():
    bds = [bytes(8), bytes(24), bytes(3), bytes(16)]
    _, (_, times) = meeting([(bd, bd) for bd in bds], width=64)
    assert times == [2, 5, 6, 8]


def test_a_bd_that_is_not_compared_passes_in_the_cycle_of_its_offer():
    _, (passed, times) = meeting([(bytes(20), b""), (bytes(8), b"")], width=64)
    assert (passed, times) == ([0, 1, 2, 3], [4, 5])


def test_compare_says_whose_bytes_are_spoilt():
    bds = [bytes(8), bytes(20), bytes(16), bytes(3)]
    found, _ = meeting([(bd, bd) for bd in bds], width=64, spoilt=([1], [6]))
    assert [(result.error, result.value) for result in found] == [
        (error, EQUAL) for error in (0, 1, 0, 1)
    ]
    # Not those of the BD that is next on the side that has ended.
    lengths = [(16, 8), (8, 16), (8, 8)]
    given = [(bytes(a), bytes(b)) for a, b in lengths]
    found, _ = meeting(given, width=64, spoilt=([3], [1]))
    assert [(result.error, result.value) for result in found] == [(0, 8), (1, 8), (1, EQUAL)]


CONSTANTS = [0, 1, -1, 127, -128, 0xFF, 0x1234, (1 << 29) - 1, -(1 << 29)]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("width", WIDTHS)
def test_add_constant(width, seed):
    toss, lanes = random.Random(repr((width, seed))), width // 8
    dut = AddConstant(width=width)
    words = [(toss.randrange(4), toss.choice(CONSTANTS)) for _ in range(20)]
    bds = [*random_bds(toss, lanes, 18), b"\xff" * lanes, b"\xff\x00" * lanes]
    beats = as_beats(bds, lanes)
    operators = [
        add_constant_word().const({"size": size, "constant": constant}).as_value()
        for size, constant in words
    ]
    (changed,), _ = operate(
        dut,
        [(dut.i, beats), (dut.operator, operators)],
        [(dut.o, len(beats))],
        toss=toss,
    )
    assert as_bytes(changed, lanes) == [
        add_constant(bd, 1 << size, constant)
        for bd, (size, constant) in zip(bds, words, strict=True)
    ]


def test_add_constant_passes_a_beat_a_cycle_and_keeps_its_error():
    dut = AddConstant(width=64)
    beats = as_beats([bytes(20), bytes(8)], 8, spoilt=[1])
    (changed,), (times,) = operate(
        dut, [(dut.i, beats), (dut.operator, [0, 1 << 2])], [(dut.o, len(beats))]
    )
    assert times == [1, 2, 3, 4]
    assert [beat.error for beat in changed] == [0, 1, 0, 0]
    assert [beat.data for beat in changed][3] == 0x0101010101010101


def test_the_word_of_add_constant():
    word = add_constant_word()
    assert word.size == 32
    assert word.const({"size": 2, "constant": -1}).as_value().value == 0xFFFFFFFE


@pytest.mark.parametrize(
    ("operator", "width", "message"),
    [
        (Crc32c, 16, "at least 32 bits, not 16"),
        (Xor, 48, "multiple of 32 bits, not 48"),
        (AddConstant, 32, "multiple of 64 bits, not 32"),
    ],
)
def test_widths_that_do_not_suit_are_refused(operator, width, message):
    with pytest.raises(ValueError, match=message):
        operator(width=width)


@pytest.mark.parametrize("operator", [AddConstant, Compare, Crc32c, Xor])
def test_verilog(operator):
    assert "module top" in verilog.convert(operator(width=64))
