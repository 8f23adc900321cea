"""The command ``weft``. Bad input gives one line on standard error and exit status 2."""

import sys
from collections.abc import Sequence

import click

from .commands.area import area
from .commands.bench import bench
from .commands.doctor import doctor
from .commands.fmax import fmax
from .commands.generate import generate
from .commands.run import run
from .hw.errors import WeftError
from .hw.version import __version__

__all__ = ["main"]

FAILED = 2
INTERRUPTED = 130


@click.group(context_settings={"help_option_names": ["-h", "--help"]}, no_args_is_help=False)
@click.version_option(__version__, message="weft %(version)s")
def weft() -> None:
    """Data-streaming engines, a scatter-gather DMA and a systolic GeMM, as RTL."""


for command in (run, generate, area, fmax, bench, doctor):
    weft.add_command(command)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line; its exit status.

    0 is success, 1 a wrong result, 2 a request that cannot be met (one line on standard error
    starting ``weft: error:``), 130 an interruption.
    """
    try:
        status = weft.main(args=arguments, prog_name="weft", standalone_mode=False)
    except click.ClickException as error:
        return _complain(error.format_message(), FAILED)
    except WeftError as error:
        return _complain(str(error), FAILED)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return _complain(f"{where}{error.strerror or error}", FAILED)
    except MemoryError as error:
        return _complain(f"out of memory: {error}", FAILED)
    except (click.Abort, KeyboardInterrupt):
        return _complain("interrupted", INTERRUPTED)
    return status if isinstance(status, int) else 0


def _complain(text: str, status: int) -> int:
    line = "; ".join(part.strip() for part in text.splitlines() if part.strip())
    print(f"weft: error: {line}", file=sys.stderr)
    return status
