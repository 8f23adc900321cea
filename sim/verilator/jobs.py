"""Several programs at once, of which none is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from weft.hw.errors import WeftError

__all__ = ["CommandError", "run_all"]

POLL_SECONDS = 0.02


class CommandError(WeftError):
    """A program could not be started, or did not end well; says which and how."""


def run_all(
    commands: Sequence[list[str]],
    environment: dict[str, str],
    log: Path,
    progress: Callable[[str], None],
) -> None:
    """Run `commands`, as many at once as there are processors; none outlives this call.

    Parameters
    ----------
    commands
        Programs with their arguments, started in this order.
    environment
        Theirs.
    log
        Takes what they print.
    progress
        Called with "2/7" and the like when one has ended.

    Raises
    ------
    CommandError
        The first failure; the others are ended.
    """
    waiting = list(reversed(commands))
    running: list[subprocess.Popen[bytes]] = []
    done = 0
    with log.open("wb") as output:
        try:
            while waiting or running:
                while waiting and len(running) < (os.cpu_count() or 1):
                    with _uninterrupted():
                        running.append(_start(waiting.pop(), environment, output))
                time.sleep(POLL_SECONDS)
                for process in [each for each in running if each.poll() is not None]:
                    running.remove(process)
                    done += 1
                    progress(f"{done}/{len(commands)}")
                    if process.returncode:
                        raise CommandError(
                            f"{_name(process)} ended with status {process.returncode}"
                        )
        finally:
            for process in running:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
            for process in running:
                process.wait()


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Ctrl-C comes after this: between the start of a program and a note of it nothing may go."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _start(
    command: list[str], environment: dict[str, str], output: IO[bytes]
) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            command,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
            # Compilers start programs of their own, which must end with them.
            process_group=0,
        )
    except OSError as error:
        raise CommandError(f"cannot run {command[0]}: {error.strerror}") from None


def _name(process: subprocess.Popen[bytes]) -> str:
    arguments = process.args
    return Path(str(arguments[0] if isinstance(arguments, list) else arguments)).name
