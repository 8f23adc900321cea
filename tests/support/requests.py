"""A requester of the scratchpad, in the testbench."""

from collections.abc import Iterable, Iterator
from typing import Any

from weft.hw.config import MemoryConfig

__all__ = ["ask"]


async def ask(
    ctx: Any,
    port: Any,
    memory: MemoryConfig,
    items: Iterable[Any],
    stall: Iterator[bool] | None = None,
) -> list[int]:
    """Make the requests `items` at `port`, idling before each while `stall` says so.

    The first is shown in the second cycle, for what follows is told a cycle ahead. Returns the
    words read, once the last has come.
    """
    waiting, shown, words, lingering = iter(items), None, [], memory.latency + 1
    item = next(waiting, None)
    while lingering:
        coming = None if stall is not None and next(stall) else item
        if memory.looks_ahead:
            bank = {} if coming is None else {"bank": coming["bank"]}
            ctx.set(port.following, {"valid": coming is not None, **bank})
        _, _, ready, response = await ctx.tick().sample(port.req.ready, port.rsp)
        if response.valid:
            words.append(response.data)
        if shown is not None and not ready:
            continue
        shown = coming
        ctx.set(port.req.valid, shown is not None)
        if shown is not None:
            ctx.set(port.req.payload, shown)
            item = next(waiting, None)
        elif item is None:
            lingering -= 1
    return words
