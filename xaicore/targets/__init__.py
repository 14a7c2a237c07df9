"""Targets: what is explained, as a direction in output space.

Write your own by deriving from `Target`: `aim(outputs, kind)` returns an `Aim`.
"""

from xaicore.outputs import ACTIVATIONS, class_count, is_dense, predicted_classes, probabilities
from xaicore.targets.classes import Classes, Predicted, TopK, as_target
from xaicore.targets.target import Aim, Target, aim_at, check_aim

__all__ = [
    # These moved to `xaicore.outputs`; a target may have used them here.
    "ACTIVATIONS",
    "Aim",
    "Classes",
    "Predicted",
    "Target",
    "TopK",
    "aim_at",
    "as_target",
    "check_aim",
    "class_count",
    "is_dense",
    "predicted_classes",
    "probabilities",
]
