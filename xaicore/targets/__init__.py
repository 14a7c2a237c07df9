"""Targets: what is explained, as a direction in output space.

Write your own by deriving from `Target`: `aim(outputs, kind)` returns an `Aim`.
"""

from xaicore.outputs import (
    ACTIVATIONS,
    Detections,
    Detector,
    Yolo,
    class_count,
    is_dense,
    predicted_classes,
    probabilities,
)
from xaicore.targets.boxes import Box, Boxes
from xaicore.targets.classes import Classes, Predicted, TopK, as_target
from xaicore.targets.regions import Region
from xaicore.targets.score import Score
from xaicore.targets.similarity import Similarity
from xaicore.targets.target import Aim, Target, aim_at, check_aim
from xaicore.targets.values import Contrast, Probability, Value
from xaicore.targets.words import CTC, Word, Words

__all__ = [
    # These moved to `xaicore.outputs`; a target may have used them here.
    "ACTIVATIONS",
    "CTC",
    "Aim",
    "Box",
    "Boxes",
    "Classes",
    "Contrast",
    "Detections",
    "Detector",
    "Predicted",
    "Probability",
    "Region",
    "Score",
    "Similarity",
    "Target",
    "TopK",
    "Value",
    "Word",
    "Words",
    "Yolo",
    "aim_at",
    "as_target",
    "check_aim",
    "class_count",
    "is_dense",
    "predicted_classes",
    "probabilities",
]
