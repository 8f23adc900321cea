"""Datapath extensions: operators on the beats that a read mover gives.

Source: DataMaestro, section III-E.
"""

from .chain import Chain
from .extension import Extension, extension_setting
from .rearrangement import Rearrangement

__all__ = ["Chain", "Extension", "Rearrangement", "extension_setting"]
