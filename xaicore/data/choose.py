"""The images that the arguments of a monitor mean: arrays as a whole, or some of arrays or of a loader."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from xaicore import trees
from xaicore.data.names import as_ids
from xaicore.data.numbers import check_whole
from xaicore.data.quota import Quota
from xaicore.data.sample import Sample
from xaicore.data.truth import as_truth, check_count
from xaicore.errors import InputError
from xaicore.outputs import true_classes
from xaicore.show.pictures import check_pictures

__all__ = ["choose", "from_arrays"]


def choose(
    x: Any,
    truth: Any,
    images: Any,
    ids: Any,
    first: int | None,
    per_class: int | None,
    class_names: Sequence[str] | None,
    to_numpy: Callable[[Any], np.ndarray],
) -> Sample:
    """The images to explain; the arguments are those of `Monitor`.

    Raises:
        InputError: the arguments exclude each other, or there is no image.
    """
    if first is not None and per_class is not None:
        raise InputError(f"first={first} and per_class={per_class}: give one of them")
    if first is None and per_class is None:
        return from_arrays(x, truth, images, ids, class_names)
    whole = None
    if hasattr(x, "shape") or isinstance(x, (Sample, Mapping)) or truth is not None:
        whole = from_arrays(x, truth, images, ids, class_names, copy=False)
    elif isinstance(x, tuple) or images is not None or ids is not None:
        raise InputError(f"a {type(x).__name__} with first= or per_class=: pass arrays with truth=, or a loader alone")
    if first is not None:
        return _first(x, whole, first, class_names, to_numpy)
    return _per_class(x, whole, per_class or 0, class_names, to_numpy)


def from_arrays(
    x: Any, truth: Any, images: Any, ids: Any, class_names: Sequence[str] | None = None, copy: bool = True
) -> Sample:
    """All images of x, with their labels.

    Args:
        x: N images, or a `Sample`, whose own labels count where the other arguments are None.
        truth, images, ids, class_names: as in `Monitor`.
        copy: copy what the caller may still write to.

    Raises:
        InputError: x is no array, or labels or pictures do not fit it.
    """
    if isinstance(x, Sample):
        truth, images = x.truth if truth is None else truth, x.images if images is None else images
        x, ids = x.x, x.ids if ids is None else ids
    n = trees.count(x)
    if not n:
        raise InputError(_no_arrays(x, truth))
    classes = as_truth(truth, class_names)
    check_count(classes, n)
    pictures = None if images is None else check_pictures(images, n)
    return Sample(
        trees.copied(x) if copy else x,
        classes,
        pictures.copy() if copy and pictures is not None else pictures,
        None if ids is None else as_ids(ids, n),
    )


def _first(
    x: Any, whole: Sample | None, k: int, class_names: Sequence[str] | None, to_numpy: Callable[[Any], np.ndarray]
) -> Sample:
    if whole is None:
        sample = Sample.first(x, k, to_numpy, class_names)
    else:
        sample = whole.take(slice(0, check_whole(k, "first", 1)))
        sample = replace(sample, x=trees.convert(sample.x, to_numpy))
    if len(sample) < k:
        warnings.warn(f"first={k}, but there are only {len(sample)} images", RuntimeWarning, stacklevel=5)
    return sample


def _per_class(
    x: Any, whole: Sample | None, k: int, class_names: Sequence[str] | None, to_numpy: Callable[[Any], np.ndarray]
) -> Sample:
    if whole is None:
        sample = Sample.per_class(x, k, None if class_names is None else len(class_names), to_numpy, class_names)
    elif whole.truth is None:
        raise InputError("per_class needs true classes: pass truth=")
    else:
        chosen = Quota(check_whole(k, "per_class", 1)).choose(whole.truth)
        if not len(chosen):
            raise InputError(f"per_class={k}: the true class of all {len(whole)} images is unknown")
        sample = replace(whole, x=trees.convert(whole.x, to_numpy)).take(chosen).by_class()
    assert sample.truth is not None
    found = {label for n in range(len(sample)) for label in true_classes(sample.truth, n) or ()}
    missing = [name for label, name in enumerate(class_names or ()) if label not in found]
    if missing:
        warnings.warn(f"no image of class {', '.join(missing[:8])} was found", RuntimeWarning, stacklevel=5)
    return sample


def _no_arrays(x: Any, truth: Any) -> str:
    """What to do with an x that is no array, or that has no images."""
    if hasattr(x, "shape"):
        return f"x of shape {tuple(x.shape)} has no images: expected N inputs as the model takes them"
    if isinstance(x, (list, tuple)) and x:
        return (
            f"x is a {type(x).__name__} of {type(x[0]).__name__}: expected one array of N inputs as the model takes "
            "them; apply its transform to each image and stack them"
        )
    if truth is not None:
        return f"x is a {type(x).__name__} with truth=: a loader brings its own labels, and arrays have a shape"
    if hasattr(x, "__iter__") or hasattr(x, "__getitem__"):
        return (
            f"x is a {type(x).__name__}, no array: of a loader, say how many images to take, first=16 or per_class=2; "
            "else pass one array of N inputs as the model takes them"
        )
    return f"x is a {type(x).__name__}: expected N inputs as the model takes them, or a loader with first="
