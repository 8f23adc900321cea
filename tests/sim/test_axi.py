"""The checker of the AXI4 port lets a lawful memory pass and finds every breach of its rules.

What it finds of a master's is tested where the memory model is: that is who calls it.
"""

import random
from collections import deque
from typing import Any

import pytest

from weft.sim.axi import AxiChecker, AxiInputs, AxiOutputs, AxiProtocolError, Channel


class Port:
    """One cycle after the other on a port of 8 bytes, told by what moves in it."""

    def __init__(self) -> None:
        self.checker = AxiChecker(beat_bytes=8)
        self.cycle = 0

    def step(self, **fields: int) -> None:
        """A cycle with these signals; every other valid and ready is 0."""
        inputs = AxiInputs(arsize=3, arburst=1, awsize=3, awburst=1)
        outputs = AxiOutputs()
        for name, value in fields.items():
            setattr(inputs if hasattr(inputs, name) else outputs, name, value)
        self.cycle += 1
        self.checker.check(self.cycle - 1, inputs, outputs)

    def read(self, number: int, beats: int) -> None:
        self.step(arvalid=1, arready=1, arid=number, arlen=beats - 1)

    def write(self, number: int, beats: int) -> None:
        self.step(awvalid=1, awready=1, awid=number, awlen=beats - 1)
        for beat in range(beats):
            self.step(wvalid=1, wready=1, wlast=int(beat == beats - 1))

    def beat(self, number: int, last: int, **fields: int) -> None:
        self.step(**{"rvalid": 1, "rready": 1, "rid": number, "rlast": last} | fields)

    def answer(self, number: int, **fields: int) -> None:
        self.step(**{"bvalid": 1, "bready": 1, "bid": number} | fields)


def check_breach(port: Port, channel: Channel, text: str, **fields: int) -> None:
    with pytest.raises(AxiProtocolError, match=text) as caught:
        port.step(**fields)
    assert caught.value.channel == channel
    assert caught.value.cycle == port.cycle - 1


R = {"rvalid": 1, "rready": 1}
B = {"bvalid": 1, "bready": 1}


@pytest.mark.parametrize("seed", range(5))
def test_a_lawful_port_passes(seed: int) -> None:
    """Random traffic: the bursts of an ID in order, those of different IDs mixed."""
    pick = random.Random(seed)
    port = Port()
    reading: dict[int, deque[int]] = {number: deque() for number in range(4)}
    writing: deque[list[int]] = deque()
    written: list[int] = []
    answers = 0
    for _ in range(2_000):
        fields: dict[str, int] = {}
        # What is answered and taken in this cycle was asked for in an earlier one.
        able = [number for number, bursts in reading.items() if bursts]
        if able and pick.random() < 0.7:
            number = pick.choice(able)
            reading[number][0] -= 1
            fields |= R | {"rid": number, "rlast": int(not reading[number][0])}
            if not reading[number][0]:
                reading[number].popleft()
        if written and pick.random() < 0.5:
            fields |= B | {"bid": written.pop(pick.randrange(len(written)))}
            answers += 1
        done = None
        if writing and pick.random() < 0.7:
            writing[0][1] -= 1
            fields |= {"wvalid": 1, "wready": 1, "wlast": int(not writing[0][1])}
            if not writing[0][1]:
                done, _ = writing.popleft()
        if pick.random() < 0.3:
            number, beats = pick.randrange(4), pick.randint(1, 4)
            reading[number].append(beats)
            fields |= {"arvalid": 1, "arready": 1, "arid": number, "arlen": beats - 1}
        if pick.random() < 0.3:
            number, beats = pick.randrange(4), pick.randint(1, 4)
            writing.append([number, beats])
            fields |= {"awvalid": 1, "awready": 1, "awid": number, "awlen": beats - 1}
        if done is not None:
            written.append(done)
        port.step(**fields)
    assert answers > 100


@pytest.mark.parametrize("number", [0, 2, 3])
def test_a_beat_of_an_id_without_a_burst(number: int) -> None:
    port = Port()
    port.read(1, 2)
    check_breach(port, Channel.R, f"rid = {number}, of which no burst", **R, rid=number)


def test_a_beat_too_many() -> None:
    port = Port()
    port.read(1, 1)
    port.beat(1, 1)
    check_breach(port, Channel.R, "rid = 1, of which no burst", **R, rid=1, rlast=1)


def test_a_beat_in_the_cycle_of_its_address() -> None:
    port = Port()
    ar = {"arvalid": 1, "arready": 1, "arid": 1}
    check_breach(port, Channel.R, "rid = 1, of which no burst", **ar, **R, rid=1, rlast=1)


@pytest.mark.parametrize(("done", "last", "left"), [(0, 1, 3), (1, 1, 2), (2, 0, 1)])
def test_rlast_in_place(done: int, last: int, left: int) -> None:
    port = Port()
    port.read(1, 3)
    port.read(2, 9)
    for _ in range(done):
        port.beat(1, 0)
        port.beat(2, 0)
    text = f"rlast = {last} with {left} beats left of the oldest burst of ID 1"
    check_breach(port, Channel.R, text, **R, rid=1, rlast=last)


def test_bursts_of_an_id_are_answered_in_their_order() -> None:
    """The younger burst is the shorter one: its end comes where the older one has none."""
    port = Port()
    port.read(1, 3)
    port.read(1, 1)
    check_breach(port, Channel.R, "rlast = 1 with 3 beats left", **R, rid=1, rlast=1)


@pytest.mark.parametrize("number", [0, 2, 3])
def test_an_answer_of_an_id_without_a_burst(number: int) -> None:
    port = Port()
    port.write(1, 2)
    check_breach(port, Channel.B, f"bid = {number}, of which no burst", **B, bid=number)


def test_an_answer_too_many() -> None:
    port = Port()
    port.write(1, 2)
    port.answer(1)
    check_breach(port, Channel.B, "bid = 1, of which no burst", **B, bid=1)


def test_an_answer_before_the_data() -> None:
    port = Port()
    port.write(2, 1)
    port.step(awvalid=1, awready=1, awid=1, awlen=1)
    port.step(wvalid=1, wready=1)
    # The last beat is taken in the very cycle of the answer.
    w = {"wvalid": 1, "wready": 1, "wlast": 1}
    check_breach(port, Channel.B, "bid = 1, of which no burst", **w, **B, bid=1)


def test_data_before_their_address() -> None:
    port = Port()
    w = {"wvalid": 1, "wready": 1}
    check_breach(port, Channel.W, "a beat before the address of its burst", **w)
    aw = {"awvalid": 1, "awready": 1}
    check_breach(Port(), Channel.W, "wlast = 1 with 0 beats left", **aw, **w, wlast=1)


@pytest.mark.parametrize(
    ("channel", "offer", "change"),
    [
        (Channel.R, {"rvalid": 1, "rid": 1, "rlast": 1}, {"rid": 2}),
        (Channel.R, {"rvalid": 1, "rid": 1, "rlast": 1}, {"rdata": 7}),
        (Channel.R, {"rvalid": 1, "rid": 1, "rlast": 1}, {"rlast": 0}),
        (Channel.B, {"bvalid": 1, "bid": 1}, {"bid": 2}),
        (Channel.B, {"bvalid": 1, "bid": 1}, {"bresp": 2}),
        (Channel.AR, {"arvalid": 1}, {"arid": 1}),
        (Channel.AW, {"awvalid": 1}, {"awid": 1}),
    ],
)
def test_an_offer_holds(channel: Channel, offer: dict[str, int], change: dict[str, int]) -> None:
    valid = f"{channel.name.lower()}valid"
    cases: list[tuple[dict[str, Any], str]] = [
        (offer | change, "the payload changed before ready"),
        ({valid: 0}, "valid fell before ready"),
    ]
    for fields, text in cases:
        port = Port()
        for number in (1, 2):
            port.read(number, 1)
            port.write(number, 1)
        port.step(**offer)
        port.step(**offer)
        check_breach(port, channel, text, **fields)
