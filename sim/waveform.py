"""Which cycles of a run go into a waveform, and how a text in VCD is cut down to them."""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from weft.hw.errors import ConfigError

__all__ = ["FORMATS", "VcdWindow", "Waveform"]

FORMATS = ("vcd", "fst")


@dataclass(frozen=True, kw_only=True)
class Waveform:
    """A file of what every signal does.

    Parameters
    ----------
    path
        The file.
    format
        ``vcd``, or ``fst``, GTKWave's compact format, which only the verilator engine writes;
        by default what the suffix says, and else VCD.
    first
        The first cycle in it.
    end
        The first cycle that is not, or None.
    last
        Only the last so many cycles before the simulation was closed or failed, or None.
    """

    path: Path
    format: str = ""
    first: int = 0
    end: int | None = None
    last: int | None = None

    def __post_init__(self) -> None:
        if not self.format:
            suffix = self.path.suffix.lower().removeprefix(".")
            object.__setattr__(self, "format", suffix if suffix in FORMATS else "vcd")
        elif self.format not in FORMATS:
            raise ConfigError("waveform.format", self.format, f"one of {', '.join(FORMATS)}")
        if self.first < 0:
            raise ConfigError("waveform.first", self.first, "must be at least 0")
        if self.end is not None and self.end <= self.first:
            raise ConfigError("waveform.end", self.end, f"must be after first = {self.first}")
        if self.last is None:
            return
        if self.last < 1:
            raise ConfigError("waveform.last", self.last, "must be at least 1")
        if self.first or self.end is not None:
            raise ConfigError("waveform.last", self.last, "goes without first and end")
        if self.format == "fst":
            raise ConfigError("waveform.last", self.last, "is for VCD, not for FST")

    @property
    def is_whole(self) -> bool:
        """Whether every cycle goes in."""
        return self.first == 0 and self.end is None and self.last is None


class VcdWindow:
    """Takes a VCD text by lines and passes on the header and a window of the changes.

    The window begins with the value of every signal at its first moment. Give it to whatever
    writes VCD in place of a file, and :meth:`close` it.

    Parameters
    ----------
    file
        Takes the result.
    period
        Seconds of a clock cycle; cycle c is from ``(c - 1/2) * period`` to ``(c + 1/2) * period``,
        since the first edge comes half a period after the beginning.
    waveform
        The window.
    """

    def __init__(self, file: TextIO, *, period: float, waveform: Waveform) -> None:
        self._file = file
        self._period = period
        self._waveform = waveform
        self._half_cycle = 0.0  # in units of the file's time
        self._part = ""
        self._in_header = True
        self._values: dict[str, str] = {}
        self._time = 0
        self._begun = False
        #: With `last`: the changes not older than that, as (time, lines).
        self._kept: deque[tuple[int, list[str]]] = deque()

    def write(self, text: str) -> int:
        """Take a piece of the text."""
        *lines, self._part = (self._part + text).split("\n")
        for line in lines:
            self._take(line)
        return len(text)

    def flush(self) -> None:
        """Part of being a file."""
        self._file.flush()

    def tell(self) -> int:
        """As `flush`."""
        return self._file.tell()

    def close(self) -> None:
        """Write what is still to be written, and close the file."""
        if self._waveform.last is not None and not self._in_header:
            for time, lines in self._kept:
                self._begin(time)
                self._file.write("".join(f"{line}\n" for line in lines))
        self._file.close()

    def _take(self, line: str) -> None:
        if self._in_header:
            self._file.write(line + "\n")
            scale = re.search(r"\$timescale\s+(\d+)\s*(\w+)\s+\$end", line)
            if scale is not None:
                unit = {"s": 1, "ms": 1e-3, "us": 1e-6, "ns": 1e-9, "ps": 1e-12, "fs": 1e-15}
                step = int(scale[1]) * unit[scale[2]]
                self._half_cycle = self._period / step / 2
            self._in_header = "$enddefinitions" not in line
        elif line.startswith("#"):
            self._time = int(line[1:])
            if self._waveform.last is not None:
                self._kept.append((self._time, []))
                self._forget()
            elif self._is_inside:
                self._begin(self._time)
        elif line and not line.startswith("$"):
            self._change(line)

    def _change(self, line: str) -> None:
        if self._waveform.last is not None and self._kept:
            self._kept[-1][1].append(line)
        elif self._begun and self._is_inside:
            self._file.write(line + "\n")
        else:
            self._remember(line)

    def _remember(self, line: str) -> None:
        # "1x" is a bit, "b101 x" and "stext x" are others: the signal's code comes last.
        code = line.partition(" ")[2] if line[0] in "bBrRsS" else line[1:]
        self._values[code] = line

    @property
    def _is_inside(self) -> bool:
        """Whether the present time is in the window."""
        waveform = self._waveform
        after_end = waveform.end is not None and self._cycle_begins(waveform.end) <= self._time
        return self._cycle_begins(waveform.first) <= self._time and not after_end

    def _cycle_begins(self, cycle: int) -> float:
        return (2 * cycle - 1) * self._half_cycle

    def _begin(self, time: int) -> None:
        """A moment in the window; the first one has every value so far."""
        self._file.write(f"#{time}\n")
        if not self._begun:
            self._begun = True
            lines = ("$dumpvars", *self._values.values(), "$end")
            self._file.write("".join(f"{line}\n" for line in lines))
            self._values.clear()

    def _forget(self) -> None:
        """Fold what is too old into the values at the window's beginning."""
        assert self._waveform.last is not None
        oldest = self._time - 2 * self._half_cycle * self._waveform.last
        while self._kept[0][0] < oldest:
            for line in self._kept.popleft()[1]:
                self._remember(line)
