"""Explaining once: an explainer that is made for one call."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from xaicore.backend import Backend
from xaicore.evidence import BATCH_SIZE, Progress
from xaicore.explainer import Explainer
from xaicore.explanation import Explanation
from xaicore.methods import MethodLike

__all__ = ["explain"]


def explain(
    model: Any,
    x: Any,
    targets: Any = None,
    *,
    method: MethodLike = "gradcam",
    layer: str | Sequence[str] | None = None,
    axes: str | None = None,
    grid: Sequence[int] | None = None,
    output: int | str | Callable[[Any], Any] | None = None,
    activation: str | None = None,
    kind: str | None = None,
    input_axes: str | None = None,
    output_axes: str | None = None,
    outliers: str | None = None,
    smooth: int | tuple[int, float] | None = None,
    augment: bool | str | Sequence[str] = False,
    fuse: str | None = "mean",
    batch_size: int = BATCH_SIZE,
    progress: Progress | bool | None = None,
    preprocess: Callable[..., Any] | str | None = None,
    images: Any = None,
    ids: Any = None,
    truth: Any = None,
    class_names: Any = None,
    backend: str | Backend | None = None,
) -> Explanation:
    """Explain what a model sees in images, once. For many calls keep an `Explainer`, which finds the layer only once.

    Args:
        model: a model of any framework that a backend plugin accepts.
        x: one image or a batch, exactly as the model takes it; a tuple is positional arguments, a dict keyword
            arguments, a list one argument. With `preprocess`, also pictures: see `Explainer`.
        targets: None or "predicted", the predicted class; "truth", the true class; a class index or name; one class
            per image; (N, K) or (1, K) classes; or a target from `xaicore.targets`.
        method: a name (`xaicore.METHODS`) or a function `f(activations, gradients)`.
        layer: a name, several names (their maps are fused), or None: the last map that no pooling layer made.
        axes, grid, output, activation, kind, input_axes, output_axes, outliers: as in `Explainer`.
        smooth, augment, fuse, batch_size, progress, preprocess: as in `Explainer`.
        images: N pictures in the frame that the model sees, (N, H, W, 3) uint8 RGB. None: those that `preprocess`
            returns, else made of `x`.
        ids: N names. None: the paths of pictures that were read from files, else "0", "1", ...
        truth: N true classes, -1 where unknown; or one-hot or multi-hot rows (N, classes).
        class_names: one name per class, in class order, {index: name}, or a file of names.
        backend: a plugin's name, a `Backend`, or None: chosen by the model's class.

    Raises:
        PluginError: no backend accepts this model.
        LayerError, TargetError, InputError, BackendError, MethodError: an argument does not fit; the message says what
            was expected. The model is as before.
    """
    explainer = Explainer(
        *(model, method, layer, backend, output, activation, kind, axes, grid, input_axes, output_axes, outliers),
        *(smooth, augment, fuse, batch_size, progress, preprocess, class_names),
    )
    return explainer(x, targets, images, ids, truth)
