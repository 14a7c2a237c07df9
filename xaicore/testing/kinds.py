"""What kinds of layers the kit's nets have, as their facts name them."""

from __future__ import annotations

__all__ = ["CHANNELS", "KINDS", "TYPES"]

TYPES = {
    **dict.fromkeys(("conv", "patches", "shared", "first"), "Conv"),
    **dict.fromkeys(("dense", "shape", "colour"), "Dense"),
    **{"relu": "ReLU", "pool": "GlobalPool"},
}
"""{beginning of a layer's name: its type}; other types have the layer's name."""

CHANNELS = {"Conv": 1, "Norm": 1, "Tokens": 2, "Mixed": 2, "Rows": 1, "Columns": 1}
"""{type: the axis of its output that has the channels}."""

KINDS = {
    **{"Conv": "convolution", "GlobalPool": "pooling", "Dense": "dense", "Norm": "norm"},
    **{"Embedding": "embedding", "Recurrent": "recurrent"},
}
"""{type: `LayerFacts.kind`}."""
