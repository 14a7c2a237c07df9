"""Reading outputs: which one is explained, what kind it is, which class is predicted, how probable, or true."""

from xaicore.outputs.answer import Answer, Output, Parts, output_of
from xaicore.outputs.choice import OF_ONE_BOX, boxes_among, choose_name, choose_output, part_shape, scores_of_boxes
from xaicore.outputs.detections import FORMATS, Detections, Found, corners, joined_rows, overlaps
from xaicore.outputs.detectors import Detector, Read, Yolo, read_detections
from xaicore.outputs.links import (
    ACTIVATIONS,
    EQUAL,
    LINKS,
    SUM,
    are_probabilities,
    check_activation,
    logits,
    matches_link,
    probabilities,
    raw_score,
    tolerance,
)
from xaicore.outputs.reading import (
    KINDS,
    check_kind,
    class_count,
    is_dense,
    label_count,
    predicted_classes,
    settle_kind,
    true_classes,
)
from xaicore.outputs.structure import Part, parts_of

__all__ = [
    "ACTIVATIONS",
    "EQUAL",
    "FORMATS",
    "KINDS",
    "LINKS",
    "OF_ONE_BOX",
    "SUM",
    "Answer",
    "Detections",
    "Detector",
    "Found",
    "Output",
    "Part",
    "Parts",
    "Read",
    "Yolo",
    "are_probabilities",
    "boxes_among",
    "check_activation",
    "check_kind",
    "choose_name",
    "choose_output",
    "class_count",
    "corners",
    "is_dense",
    "joined_rows",
    "label_count",
    "logits",
    "matches_link",
    "output_of",
    "overlaps",
    "part_shape",
    "parts_of",
    "predicted_classes",
    "probabilities",
    "raw_score",
    "read_detections",
    "scores_of_boxes",
    "settle_kind",
    "tolerance",
    "true_classes",
]
