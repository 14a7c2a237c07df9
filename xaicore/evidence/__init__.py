"""What methods compute maps from: one pass for all of them, further passes where they ask for more, all checked."""

from xaicore.evidence.arranging import arranged, group_views
from xaicore.evidence.checks import (
    check_captured,
    check_class_axis,
    check_finite,
    check_map,
    check_not_boxes,
    check_outputs,
    check_parts,
    check_rows,
    compare_class_axes,
)
from xaicore.evidence.coupling import Coupling
from xaicore.evidence.evidence import Evidence
from xaicore.evidence.first import first_pass
from xaicore.evidence.leading import layer_before
from xaicore.evidence.noise import is_noise, noisy
from xaicore.evidence.passes import BATCH_SIZE, Passes
from xaicore.evidence.pictures import InputPictures
from xaicore.evidence.plan import NEEDS, Plan, missing_power
from xaicore.evidence.progress import Progress, check_progress, reported
from xaicore.evidence.reduced import FACTS, check_reduced, facts_of
from xaicore.evidence.scores import aim_again, is_unchanged, scores_of

__all__ = [
    "BATCH_SIZE",
    "FACTS",
    "NEEDS",
    "Coupling",
    "Evidence",
    "InputPictures",
    "Passes",
    "Plan",
    "Progress",
    "aim_again",
    "arranged",
    "check_captured",
    "check_class_axis",
    "check_finite",
    "check_map",
    "check_not_boxes",
    "check_outputs",
    "check_parts",
    "check_progress",
    "check_reduced",
    "check_rows",
    "compare_class_axes",
    "facts_of",
    "first_pass",
    "group_views",
    "is_noise",
    "is_unchanged",
    "layer_before",
    "missing_power",
    "noisy",
    "reported",
    "scores_of",
]
