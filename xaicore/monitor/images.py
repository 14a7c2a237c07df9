"""The images that a monitor explains, of what its caller passed."""

from __future__ import annotations

from typing import Any

from xaicore.data.choose import choose
from xaicore.data.sample import Sample
from xaicore.explainer import Explainer

__all__ = ["choose_images"]


def choose_images(
    explainer: Explainer, x: Any, truth: Any, images: Any, ids: Any, first: int | None, per_class: int | None
) -> Sample:
    """The images to explain, with ids; the arguments are those of `Monitor`. The random state stays as it is.

    Raises:
        InputError: there is no image, a picture cannot be read, or the arguments do not fit each other.
    """
    backend = explainer.backend
    with backend.undisturbed(x):
        pictures = explainer.read(x, images, ids)
        if pictures is not None:
            x, images, ids = pictures, None, None
        elif hasattr(x, "shape") or isinstance(x, list):
            x = backend.with_batch_axis(x)
        return choose(x, truth, images, ids, first, per_class, explainer.class_names, backend.to_numpy).named(
            backend.to_numpy
        )
