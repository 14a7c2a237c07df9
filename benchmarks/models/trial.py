"""One architecture: what xaicore finds without being told a layer, and how far its maps are from plain autograd."""

from __future__ import annotations

import gc
import importlib
from collections.abc import Iterator
from typing import Any

import numpy as np

import xaicore
from benchmarks.models.reference import Axes, KerasLayer, TorchLayer, gradcam, responding_cells
from benchmarks.models.zoo import Architecture
from xaicore.layers import Frame, Places

__all__ = ["trials"]

CLASSES = [0, 1, 2]
"""Several, so that one of them has evidence whatever the random weights are."""


def trials(library: str) -> Iterator[dict[str, Any]]:
    """A row for each architecture of a library: the layer and its grid, or why there is none."""
    is_torch = not library.startswith("keras")
    for architecture in importlib.import_module(f"benchmarks.models.{library}").ARCHITECTURES:
        row: dict[str, Any] = {"name": architecture.name, "input": list(architecture.shape)}
        try:
            model = _torch_model(architecture) if is_torch else architecture.build()
        except Exception as exc:
            yield {**row, "not_built": f"{type(exc).__name__}: {exc}"}
            continue
        try:
            yield {**row, **_tried(architecture, model, is_torch)}
        except xaicore.XaicoreError as exc:
            yield {**row, "refused": f"{type(exc).__name__}: {exc}"}
        except Exception as exc:
            yield {**row, "failed": f"{type(exc).__name__}: {exc}"}
        del model
        gc.collect()


def _torch_model(architecture: Architecture) -> Any:
    """In evaluation mode. Weights that start at zero, such as a classifier's, become random: else all maps are 0."""
    import torch

    torch.manual_seed(0)
    torch.set_num_threads(1)
    model = architecture.build().eval()
    for parameter in model.parameters():
        if parameter.ndim > 1 and not parameter.any():
            torch.nn.init.normal_(parameter, std=0.1)
    return model


def _tried(architecture: Architecture, model: Any, is_torch: bool) -> dict[str, Any]:
    picture = np.random.default_rng(0).random(architecture.shape, np.float32)

    def arguments(pixels: np.ndarray) -> Any:
        x: Any = pixels
        if is_torch:
            import torch

            x = torch.from_numpy(pixels)
        return (x,) if architecture.arguments is None else architecture.arguments(x)

    given = arguments(picture)
    explainer = xaicore.Explainer(model, output=architecture.output)
    maps = explainer(given[0] if architecture.arguments is None else given, targets=[CLASSES]).maps
    row, frame = _found(explainer, given[0] if architecture.arguments is None else given)
    layer = (TorchLayer if is_torch else KerasLayer)(model, row.pop("captured"), architecture.output)
    axes = Axes(row["axes"], tuple(row["size"]), row["prefix"])
    row |= _compared(maps, gradcam(layer, given, axes, CLASSES))
    if (
        ("l" in axes.letters or (is_torch and not axes.letters.startswith("nc")))
        and frame.rows == 1
        and frame.reshaped is None
    ):
        positions = sorted(
            (i for i, letter in enumerate(frame.axes) if letter not in "nc"), key=lambda i: frame.axes[i]
        )
        row["responding"] = responding_cells(
            lambda pixels: axes.arranged(layer.features(arguments(pixels))), picture, positions, axes.size
        )
    return row


def _found(explainer: xaicore.Explainer, x: Any) -> tuple[dict[str, Any], Frame]:
    """The layer and its grid, and how the input is a picture where the backend reports facts."""
    (name,) = explainer.layers
    facts, place = Places(explainer.backend, explainer.layers).find(x)
    if facts is None or place is None:  # shapes come with the channels first; Keras' layers have them last
        seen = next(one for one in explainer.backend.layers(x) if one.name == name)
        shape = (seen.shape[0], *seen.shape[2:], seen.shape[1])
        return _row(name, name, seen.type, shape, Axes("nhwc", seen.shape[2:], 0)), Frame("nhwc", x.shape[1:3])
    fact = next(one for one in facts.layers if name.partition("#")[0] in (one.name, *one.aliases))
    grid = place.grids[name]
    return _row(name, place.captured[0], fact.type, fact.shape, Axes(grid.axes, grid.size, grid.prefix)), place.frame


def _row(name: str, captured: str, kind: str, shape: tuple[int, ...], axes: Axes) -> dict[str, Any]:
    return {
        "layer": name,
        "captured": captured,
        "type": kind,
        "shape": list(shape),
        "axes": axes.letters,
        "size": list(axes.size),
        "prefix": axes.prefix,
    }


def _compared(maps: np.ndarray, expected: np.ndarray) -> dict[str, Any]:
    """The largest difference of a position, relative to the largest value."""
    expected = expected.reshape(len(maps), -1)
    largest = float(expected.max())
    difference = float(np.abs(maps.reshape(len(maps), -1) - expected).max())
    return {"largest": largest, "difference": difference / largest if largest else difference}
