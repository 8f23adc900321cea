"""A requester of the scratchpad, in the testbench."""

from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import Any

from weft.hw.config import MemoryConfig

__all__ = ["ask", "watch_following"]


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


def watch_following(port: Any, memory: MemoryConfig) -> Callable[[Any], Awaitable[None]]:
    """A background testbench: `port` shows what it has told a cycle ahead."""

    async def checker(ctx: Any) -> None:
        moved, told = False, None
        request = port.req
        while memory.looks_ahead:
            _, _, valid, ready, payload, following = await ctx.tick().sample(
                request.valid, request.ready, request.payload, port.following
            )
            if moved:
                assert valid == told.valid, "a request that was not told, or told and not shown"
                assert not valid or payload.bank == told.bank, "another bank than was told"
            moved, told = not valid or ready, following

    return checker
