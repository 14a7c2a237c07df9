"""Reading a model's layers: where their positions are, which one is explained, and which dense layer CAM needs.

Backends report facts of layers; what these mean is decided here, by one rule for all frameworks.
"""

from xaicore.layers.attention import Tokens
from xaicore.layers.axes import channel_axes
from xaicore.layers.choice import as_layers, choose_layer, choose_pooled, default_layer, is_pooling
from xaicore.layers.classifier import Dense, find_classifier
from xaicore.layers.coupling import image_axes, pull_images
from xaicore.layers.grid import Grid, check_axes
from xaicore.layers.half import half_scale, pull_in_half
from xaicore.layers.inputs import Frame
from xaicore.layers.messages import blank, never_ran, no_gradient, no_map, no_relu, no_run, unknown_layer
from xaicore.layers.moves import find_moves, find_span, has_rows, with_moves_of
from xaicore.layers.offsets import offset
from xaicore.layers.outliers import OUTLIERS, find_outliers
from xaicore.layers.padding import find_part
from xaicore.layers.place import Place, find_place, interleaved
from xaicore.layers.places import Places
from xaicore.layers.reading import Reading, listing, read, read_grids
from xaicore.layers.runs import find_run, split_run

__all__ = [
    "OUTLIERS",
    "Dense",
    "Frame",
    "Grid",
    "Place",
    "Places",
    "Reading",
    "Tokens",
    "as_layers",
    "blank",
    "channel_axes",
    "check_axes",
    "choose_layer",
    "choose_pooled",
    "default_layer",
    "find_classifier",
    "find_moves",
    "find_outliers",
    "find_part",
    "find_place",
    "find_run",
    "find_span",
    "half_scale",
    "has_rows",
    "image_axes",
    "interleaved",
    "is_pooling",
    "listing",
    "never_ran",
    "no_gradient",
    "no_map",
    "no_relu",
    "no_run",
    "offset",
    "pull_images",
    "pull_in_half",
    "read",
    "read_grids",
    "split_run",
    "unknown_layer",
    "with_moves_of",
]
