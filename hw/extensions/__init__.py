"""Datapath extensions: operators on the beats that a read mover gives.

Source: DataMaestro, section III-E.
"""

from .chain import Chain
from .extension import Extension

__all__ = ["Chain", "Extension"]
