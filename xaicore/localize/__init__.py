"""Where a heatmap points: masks, boxes and points, and how well they fit true boxes."""

from xaicore.localize.evaluation import evaluate
from xaicore.localize.intervals import Estimate
from xaicore.localize.localization import Localization
from xaicore.localize.overlap import iou, match
from xaicore.localize.places import all_boxes, boxes, masks, points
from xaicore.localize.shares import shares

__all__ = ["Estimate", "Localization", "all_boxes", "boxes", "evaluate", "iou", "masks", "match", "points", "shares"]
