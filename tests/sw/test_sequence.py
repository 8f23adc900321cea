"""Building a sequence: what is appended, and what is refused in the words that users know."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import weft
from support.sequences import TINY, WALK_X, WALK_Y, dram_walk, opened
from weft.hw.errors import ConfigError
from weft.sw.commands import Push, Token, WriteDescriptor
from weft.sw.errors import DescriptorError, NotDeviceMemory, SequenceError
from weft.sw.memcpy import nd_view
from weft.sw.memref import MemRef
from weft.sw.sequence import RuntimeSequence


def test_the_seeds_order_of_commands() -> None:
    dev = opened()
    a, out = dev.allocate(64, np.int32), dev.allocate(64, np.int32)
    with weft.RuntimeSequence(dev) as seq:
        token_in, token_out = seq.lock("token_in"), seq.lock("token_out")
        assert seq.memcpy("token_in", 0, 1)(a, dev.scratchpad(0x400)) == Token("Y", 1)
        seq.acquire(token_in.acquire_ge(1))
        seq.release(token_out.release(1))
        assert seq.memcpy("token_out", 1, 0)(dev.scratchpad(0x400), out) == Token("S2MM0", 1)
    assert [str(command) for command in seq.commands] == [
        "write BD 0 of Y",
        "push BD 0 of Y as its task 1",
        "write BD 0 of MM2S0",
        "push BD 0 of MM2S0 as its task 1",
        "acquire token_in >= 1",
        "release token_out by 1",
        "write BD 0 of X",
        "push BD 0 of X as its task 1",
        "write BD 0 of S2MM0",
        "push BD 0 of S2MM0 as its task 1",
        "wait for task 1 of S2MM0",
    ]
    pushes = [command for command in seq.commands if isinstance(command, Push)]
    assert [(push.mover, push.issue_token) for push in pushes] == [
        ("Y", True),
        ("MM2S0", False),
        ("X", False),
        ("S2MM0", True),
    ]
    walks = {c.mover: c.descriptor for c in seq.commands if isinstance(c, WriteDescriptor)}
    assert (walks["Y"].acquire_enable, walks["Y"].release_delta) == (0, 1)
    assert (walks["X"].acquire_value, walks["X"].release_delta) == (1, 0)
    assert walks["MM2S0"].run_length == 256
    # The slots of a copy that was waited for are free again, at both of its ends.
    assert (seq.pool("X").held, seq.pool("S2MM0").held) == ((), ())
    assert (seq.pool("Y").held, seq.pool("MM2S0").held) == ((0,), (0,))
    plain = weft.RuntimeSequence(opened(replace(TINY, sequencer=None)))
    with pytest.raises(ConfigError, match="sequencer"):
        plain.to_words()


@settings(max_examples=80, deadline=None)
@given(data=st.data(), rank=st.integers(1, 4))
def test_an_nd_walk_is_what_its_sums_say(data: Any, rank: int) -> None:
    numbers = [st.integers(0, 3), st.integers(1, 4), st.integers(-3, 9)]
    offsets, sizes, strides = (data.draw(st.tuples(*[n] * rank)) for n in numbers)
    buffer = MemRef(address=4096, offset=7, sizes=(30,), strides=(1,), dtype=np.dtype(np.int16))
    indices = [
        sum((o + i) * t for o, i, t in zip(offsets, index, strides, strict=True))
        for index in np.ndindex(*sizes)
    ]
    if min(indices) < 0 or max(indices) >= 30:
        text = f"for index {min(indices)} to {max(indices)}: it has elements 0 to 29"
        with pytest.raises(SequenceError, match=f"out of bounds access in buffer, {text}"):
            nd_view(buffer, offsets, sizes, strides)
    else:
        view = nd_view(buffer, offsets, sizes, strides)
        assert list(view.access_order()) == [4096 + 14 + 2 * index for index in indices]


def test_what_the_verifier_says() -> None:
    dev = opened()
    a = dev.allocate((4, 16), np.int32)
    seq = RuntimeSequence(dev, checked=False)
    refused: list[tuple[Any, dict[str, Any], str]] = [
        ((), {"mover": "Y"}, "dma_memcpy_nd: Y does not reach DRAM"),
        ((), {"mover": "Z"}, "mover 'Z': must be one of A, B, C, D, X, Y, MM2S0, S2MM0"),
        (((0,), (4, 4)), {}, r"as many offsets \(1\) as sizes \(2\) and strides \(2\)"),
        (((0, 0), (4, -1), (16, 1)), {}, "Size 0 is -1: must not be negative"),
        (((0, 0), (2, 4), (1 << 30, 1)), {}, r"Stride 1 is 1073741824 elements \* 4 bytes"),
        (((0, 1), (4, 16), (16, 1)), {}, "for index 1 to 64: it has elements 0 to 63"),
        ((), {"repeat": 257}, r"Repeat count 257 exceeds the \[1:256\] range"),
        ((), {"bd": 16}, "BD ID 16 exceeds the maximum ID 15 of MM2S0"),
        (((0,) * 6, (1, 2, 2, 2, 2, 2), (0, 32, 17, 9, 3, 2)), {"bd": 1}, "the walk takes 2 BDs"),
    ]
    for walk, options, text in refused:
        mover = options.pop("mover", "MM2S0")
        with pytest.raises(SequenceError, match=text):
            seq.dma_memcpy_nd(mover, a, *walk, **options)
    with pytest.raises(NotDeviceMemory):
        seq.dma_memcpy_nd("MM2S0", np.zeros(4))
    assert seq.commands == []
    assert seq.pool("MM2S0").held == ()


def test_what_is_refused_when_it_is_appended() -> None:
    dev = opened()
    a = dev.allocate(64, np.uint8)
    seq = RuntimeSequence(dev, checked=False)
    where = dev.scratchpad(0)
    refused = {
        "BD 3 of X is pushed before it is written": lambda: seq.push_queue("X", 3),
        "BD ID 16 exceeds the maximum ID 15 of X": lambda: seq.push_queue("X", 16),
        "there was no memcpy of 'token'": lambda: seq.dma_wait("token"),
        "task 1 of Y is not pushed before it is waited for": lambda: seq.dma_wait(Token("Y", 1)),
        "argument 0: the sequence has 0 arguments": lambda: seq.write_bd(
            "MM2S0", 0, dram_walk(0), argument=0
        ),
        "memcpy within the scratchpad takes a read and a write mover on the switch, and "
        "configuration tiny lacks them": lambda: seq.memcpy("t")(where, where, 64),
        "memcpy within DRAM takes": lambda: seq.memcpy("t")(a, a),
        "nbytes = 64: the end in DRAM says": lambda: seq.memcpy("t")(a, where, 64),
        "via = 'dream': must be 'registers' or 'program'": lambda: seq.run(via="dream"),
    }
    for text, wrong in refused.items():
        with pytest.raises(SequenceError, match=text):
            wrong()
    with pytest.raises(DescriptorError, match="leaves the scratchpad"):
        seq.write_bd("X", 1, type(WALK_X)(**vars(WALK_X) | {"base": 1 << 14}))
    seq.memcpy("copy")(a, where)
    with pytest.raises(SequenceError, match=r"BD 0 of Y is already in use by copy \(task 1\)"):
        seq.write_bd("Y", 0, WALK_Y)
    for _ in range(15):
        seq.memcpy("copy")(a, where)
    with pytest.raises(SequenceError, match="slots of Y are exhausted: 16 of 16 are held"):
        seq.memcpy("copy")(a, where)
    assert len(seq.commands) == 64
    seq.dma_wait("copy")
    seq.memcpy("copy")(a, where)
    for index in range(dev.config.locks - 2):
        seq.lock(f"lock {index}")
    with pytest.raises(SequenceError, match="lock more: the device's 16 are in use"):
        seq.lock("more")


def test_nothing_that_was_refused_is_checked_and_an_error_in_the_block_stays_itself() -> None:
    dev = opened()

    def fail() -> None:
        with RuntimeSequence(dev) as seq:
            seq.acquire(seq.lock("never").acquire_ge(1))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
