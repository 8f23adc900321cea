"""The version of the distribution, which the generated hardware shows in a register."""

from importlib import metadata

__all__ = ["VERSION", "__version__"]

__version__ = metadata.version("weft")

VERSION = tuple(int(part) for part in __version__.split("."))
"""Major, minor, patch."""
