"""Datapath extensions: operators on the beats that a read mover gives.

Source: DataMaestro, section III-E.
"""

from .chain import Chain
from .extension import Extension, extension_setting

__all__ = ["Chain", "Extension", "extension_setting"]
