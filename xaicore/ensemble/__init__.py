"""Maps averaged over noisy, flipped and scaled copies of the pictures, and the maps of several layers joined."""

from xaicore.ensemble.changes import AUGMENTATIONS, Change
from xaicore.ensemble.options import Ensemble
from xaicore.ensemble.walk import Maps, Walk

__all__ = ["AUGMENTATIONS", "Change", "Ensemble", "Maps", "Walk"]
