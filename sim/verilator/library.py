"""The compiled harness, bound with ctypes: the C side is harness.cpp and dram.h."""

from __future__ import annotations

import ctypes
from enum import IntEnum
from functools import cache
from pathlib import Path

from weft.hw.errors import WeftError

from ..axi import Channel
from ..dram import DramParameters, ErrorRange

__all__ = ["Address", "Beat", "Protocol", "State", "Status", "describe_dram", "load"]

u64 = ctypes.c_uint64


class State(IntEnum):
    """What an instance does, or why it does nothing any more."""

    IDLE = 0
    READING = 1
    WRITING = 2
    WAITING = 3
    SILENT = 4
    BROKEN = 5
    FAILED = 6


class Address(ctypes.Structure):
    """An address channel in one cycle."""

    _fields_ = [(n, u64) for n in ("valid", "ready", "id", "address", "length", "size", "burst")]


class Beat(ctypes.Structure):
    """The write data channel in one cycle."""

    _fields_ = [
        *((name, u64) for name in ("valid", "ready", "last")),
        ("strobe", ctypes.c_uint8 * 16),
        ("data", ctypes.c_uint8 * 128),
    ]


class Protocol(ctypes.Structure):
    """What the rules of AXI for the master look at."""

    _fields_ = [
        ("beats_left", u64),
        ("held", u64 * 3),
        *((name, Address) for name in ("held_ar", "held_aw", "ar", "aw")),
        *((name, Beat) for name in ("held_w", "w")),
    ]


class Status(ctypes.Structure):
    """An instance as it stands; see harness.cpp."""

    _fields_ = [
        *((name, u64) for name in ("cycles", "state", "response", "value", "nanoseconds")),
        ("sampled_nanoseconds", u64),
        ("evaluation_nanoseconds", u64),
        ("protocol", Protocol),
        ("message", ctypes.c_char * 512),
    ]


class _ErrorRange(ctypes.Structure):
    _fields_ = [(name, u64) for name in ("start", "stop", "response")]


class _Dram(ctypes.Structure):
    _fields_ = [
        *((name, u64) for name in ("base", "size")),
        *((f"{way}_latency", u64) for way in ("read", "write")),
        *((f"{way}_interval", u64) for way in ("read", "write")),
        *((f"{way}_outstanding", u64) for way in ("read", "write")),
        ("stalls", u64 * len(Channel)),
        ("seed", u64),
        *((f"{way}_ranges", u64) for way in ("read", "write")),
        *((f"{way}_errors", ctypes.POINTER(_ErrorRange)) for way in ("read", "write")),
    ]


def describe_dram(parameters: DramParameters, *, base: int, size: int) -> _Dram:
    """`parameters` of a memory of `size` bytes at `base` as the C side takes them."""
    last = (1 << 64) - 1

    def ranges(errors: tuple[ErrorRange, ...]) -> ctypes.Array[_ErrorRange]:
        reachable = [entry for entry in errors if entry.start <= last]
        return (_ErrorRange * len(reachable))(
            *(
                _ErrorRange(entry.start, min(entry.stop, last), int(entry.response))
                for entry in reachable
            )
        )

    read, write = ranges(parameters.read_errors), ranges(parameters.write_errors)
    stalls = (getattr(parameters, f"stall_{channel.name.lower()}") for channel in Channel)
    described = _Dram(
        base=base,
        size=size,
        read_latency=parameters.read_latency,
        write_latency=parameters.write_latency,
        read_interval=parameters.read_interval,
        write_interval=parameters.write_interval,
        read_outstanding=parameters.read_outstanding,
        write_outstanding=parameters.write_outstanding,
        stalls=(u64 * len(Channel))(*stalls),
        seed=parameters.seed,
        read_ranges=len(read),
        write_ranges=len(write),
        read_errors=read,
        write_errors=write,
    )
    return described


@cache
def load(path: Path) -> ctypes.CDLL:
    """The library at `path`, its functions declared; loaded once a process."""
    try:
        library = ctypes.CDLL(str(path))
    except OSError as error:
        raise WeftError(f"cannot load the compiled model {path}: {error}") from None
    handle, text = ctypes.c_void_p, ctypes.c_char_p
    for name, result, arguments in (
        ("create", handle, [ctypes.POINTER(_Dram), ctypes.c_void_p]),
        ("destroy", None, [handle]),
        ("status", ctypes.POINTER(Status), [handle]),
        ("read", None, [handle, u64]),
        ("write", None, [handle, u64, u64]),
        ("wait", None, [handle, u64]),
        ("run", None, [handle, u64]),
        ("open_waveform", ctypes.c_int, [handle, text, u64, u64, u64, text, u64]),
        ("close_waveform", None, [handle]),
        ("observe", None, [handle, ctypes.c_int]),
        (
            "observed",
            u64,
            [
                handle,
                ctypes.POINTER(ctypes.POINTER(u64)),
                ctypes.POINTER(ctypes.POINTER(ctypes.c_uint32)),
            ],
        ),
    ):
        function = getattr(library, f"weft_{name}")
        function.restype, function.argtypes = result, arguments
    return library
