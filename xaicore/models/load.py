"""A model by name, with an explainer that prepares pictures as its library does."""

from __future__ import annotations

import warnings
from typing import Any

from xaicore.explainer import Explainer
from xaicore.models.find import find_model

__all__ = ["load"]


def load(spec: Any, weights: Any = None, trust: bool = False, device: str | None = None, **options: Any) -> Explainer:
    """An `Explainer` of a model by name: `xaicore.load("torchvision/resnet50")("cat.jpg").show()`.

    Args:
        spec, weights, trust, device: as in `find_model`.
        options: as in `Explainer`; `preprocess` and `class_names` are the library's own where they are not given.

    Random weights are reported by a RuntimeWarning.

    Raises:
        XaicoreError: as `find_model` and `Explainer` do.
    """
    named = find_model(spec, weights, trust, device)
    if named.is_pretrained is False:
        warnings.warn(
            f"spec={spec!r}: the weights are random: heatmaps show nothing that was learned",
            RuntimeWarning,
            stacklevel=2,
        )
    return Explainer(named.model, **{"preprocess": named.preprocess, "class_names": named.class_names, **options})
