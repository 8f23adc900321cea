"""The checker's verdict against the functional model: what passes it ends, what does not hangs."""

from typing import Any

import numpy as np
import pytest

from support.sequences import opened
from weft.sw.errors import DeviceTimeout
from weft.sw.sequence import RuntimeSequence

LOCKS = ("red", "green", "blue")
WORDS = 16


def random_sequence(dev: Any, random: Any, *, competing: bool) -> RuntimeSequence:
    """Copies both ways, gated at random, between acquires, releases and waits of the sequence.

    Where nobody competes each lock is acquired by one of the movers, or by the sequence, alone.
    """
    seq = RuntimeSequence(dev, checked=False)
    memory = dev.allocate((6, WORDS), np.int32)
    owners = dict(zip(LOCKS, random.permutation(["X", "Y", "host"]), strict=True))
    ends: list[Any] = []

    def pick(who: str) -> Any:
        mine = [name for name in LOCKS if competing or owners[name] == who]
        return seq.lock(str(random.choice(mine)))

    for name in LOCKS:
        seq.lock(name, initial=int(random.integers(0, 5)))
    for index in range(6):
        action = random.choice(["in", "out", "out", "release", "acquire", "wait"])
        spend, give = (int(n) for n in random.integers((0, 0), (3, 4)))
        giver = seq.lock(str(random.choice(LOCKS))).release(give)
        where = seq.device.scratchpad(64 * int(random.integers(0, 8)))
        if action == "in":
            copy = seq.memcpy("in", pick("Y").acquire_ge(spend), giver, wait=False)
            ends.append(copy(memory[index], where))
        elif action == "out":
            copy = seq.memcpy("out", pick("X").acquire_ge(spend), giver, wait=False)
            ends.append(copy(where, memory[index]))
        elif action == "release":
            seq.release(giver)
        elif action == "acquire":
            seq.acquire(pick("host").acquire_ge(spend))
        elif ends:
            seq.dma_wait(ends[int(random.integers(0, len(ends)))])
    for end in ends:
        seq.dma_wait(end)
    return seq


def ends_on_the_model(seed: int, *, competing: bool, prefetch: bool) -> tuple[bool, bool]:
    """Whether the checker says that it ends, and whether it does."""
    dev = opened(prefetch=prefetch)
    seq = random_sequence(dev, np.random.default_rng(seed), competing=competing)
    report = seq.check()
    assert all(error.startswith("deadlock: ") for error in report.errors)
    try:
        seq.run(timeout=2_000)
    except DeviceTimeout:
        return not report.errors, False
    if not report.errors:
        values = dict(zip(LOCKS, dev.locks.values, strict=False))
        changed = {w.split()[1] for w in report.warnings}
        assert changed == {n for n in LOCKS if values[n] != initial(seq, n)}
    return not report.errors, True


def initial(seq: RuntimeSequence, name: str) -> int:
    return next(c.value for c in seq.commands if str(c).startswith(f"set {name} "))  # type: ignore[union-attr]


@pytest.mark.parametrize("prefetch", [False, True])
def test_the_verdict_is_right_where_nobody_competes(prefetch: bool) -> None:
    found = [ends_on_the_model(seed, competing=False, prefetch=prefetch) for seed in range(60)]
    assert all(said == did for said, did in found)
    assert 15 < sum(did for _, did in found) < 45


@pytest.mark.parametrize("prefetch", [False, True])
def test_what_passes_ends_whoever_gets_a_lock(prefetch: bool) -> None:
    found = [ends_on_the_model(seed, competing=True, prefetch=prefetch) for seed in range(60)]
    assert all(did for said, did in found if said)
    assert sum(said for said, _ in found) > 10
