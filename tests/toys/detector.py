"""A detector whose gradients can be written down, as a backend with the power "parts".

map       = relu(U x)                    U (D, 3), a 1 x 1 convolution
logits    = W mean(map in cell q) + b_q  W (C, D); Q cells of equal size, row by row; b is 0 at first
box of q  = cell q, moved by its own offset in pixels

The derivative of logit (q, c) with respect to the map is W[c] / (pixels of a cell) within cell q, and 0 elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType
from typing import Any

import numpy as np

from xaicore import Backend, Capture, Layer
from xaicore.facts import Facts, InputFacts, LayerFacts


class DetectorNet:
    """The weights, a pass, and the way back; `cells` (rows, columns) of a picture."""

    def __init__(self, classes: int = 3, cells: tuple[int, int] = (2, 3), seed: int = 2) -> None:
        rng = np.random.default_rng(seed)
        self.u, self.w = rng.normal(size=(5, 3)), rng.normal(size=(classes, 5)) * 3
        self.cells = cells
        self.bias = np.zeros((cells[0] * cells[1], 1))
        self.offsets = rng.uniform(-0.4, 0.4, (cells[0] * cells[1], 2))

    def map(self, x: np.ndarray) -> np.ndarray:
        return np.maximum(np.einsum("dc,nchw->ndhw", self.u, x.astype(np.float64)), 0)

    def logits(self, x: np.ndarray) -> np.ndarray:
        """(N, Q, C)."""
        return self._by_cell(self.map(x)).mean(axis=(3, 5)).reshape(len(x), 5, -1).swapaxes(1, 2) @ self.w.T + self.bias

    def boxes(self, height: int, width: int) -> np.ndarray:
        """(Q, 4), x0, y0, x1, y1."""
        rows, columns = self.cells
        y, x = (a.reshape(-1) for a in np.mgrid[:rows, :columns])
        first = np.stack([x * width / columns, y * height / rows], axis=1) + self.offsets
        return np.concatenate([first, first + [width / columns, height / rows]], axis=1)

    def pulled(self, x: np.ndarray, d: np.ndarray) -> np.ndarray:
        """Gradients (N, K, D, H, W) of the map, from d score / d logits (N, K, Q, C)."""
        n, _, height, width = x.shape
        rows, columns = self.cells
        per_cell = (d @ self.w).reshape(n, -1, rows, columns, 5) * rows * columns / (height * width)
        wide = np.repeat(np.repeat(per_cell, height // rows, axis=2), width // columns, axis=3)
        return np.moveaxis(wide, -1, 2)

    def _by_cell(self, maps: np.ndarray) -> np.ndarray:
        n, d, height, width = maps.shape
        rows, columns = self.cells
        return maps.reshape(n, d, rows, height // rows, columns, width // columns)


class DetectorBackend(Backend):
    """One of the layouts in which detectors answer.

    - "ragged": "boxes", "labels" and "scores" per image, those whose best score is above `least`, best first;
    - "queries": "logits" (N, Q, C) and "pred_boxes" (N, Q, 4), centre and size as fractions;
    - "yolo": one tensor (N, 4 + C, Q) of corners in pixels and sigmoids; "turned": (N, Q, 4 + 1 + C) with objectness.
    """

    name = "detector"
    powers = frozenset({"parts", "input_gradients"})

    def __init__(
        self, layout: str, net: DetectorNet | None = None, least: float = 0.7, class_count: int | None = None
    ) -> None:
        self.net, self.layout, self.least, self.class_count = net or DetectorNet(), layout, least, class_count
        self.explained: int | str | None = {"ragged": "scores", "queries": "logits"}.get(layout, 0)
        self.class_axis: int | None = {"queries": 2, "turned": 2}.get(layout, 1)
        self.link: str | None = None
        self.extra: dict[int | str, np.ndarray] = {}

    def layers(self, inputs: Any) -> Sequence[Layer]:
        return [Layer("map", "Convolution", self.net.map(np.asarray(inputs)[:1]).shape, True)]

    def observe(self, inputs: Any) -> Facts:
        x = np.asarray(inputs)[:1]
        layer = LayerFacts("map", "Convolution", self.net.map(x).shape, "convolution", 1, reads=(0,), reached=None)
        shapes = {name: (1, *part[0].shape) for name, part in self.parts(x).items()}
        return Facts(
            (layer,),
            (InputFacts(x.shape, x.shape, 1, (True,)),),
            output=self.explained,
            outputs=shapes,
            class_axis=self.class_axis,
            class_count=self.class_count,
        )

    def parts(self, x: np.ndarray) -> dict[int | str, Any]:
        logits, boxes = self.net.logits(x), self.net.boxes(*x.shape[2:])
        p = 1 / (1 + np.exp(-logits))
        height, width = x.shape[2:]
        centred = np.concatenate([(boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]], axis=1)
        if self.layout == "queries":
            relative = np.repeat((centred / [width, height, width, height])[None], len(x), axis=0)
            return {"logits": logits, "pred_boxes": relative, **self.extra}
        if self.layout == "ragged":
            kept = [self._kept(one) for one in p]
            return {
                "boxes": [boxes[q] for q in kept],
                "labels": [one[q].argmax(axis=1) for one, q in zip(p, kept, strict=True)],
                "scores": [one[q].max(axis=1) for one, q in zip(p, kept, strict=True)],
            }
        if self.layout == "yolo":
            every = np.repeat(boxes[None], len(x), axis=0)
            return {0: np.concatenate([every, p], axis=2).swapaxes(1, 2)}
        every = np.repeat(centred[None], len(x), axis=0)
        return {0: np.concatenate([every, p[..., :1], p], axis=2)}

    def _kept(self, p: np.ndarray) -> np.ndarray:
        best = p.max(axis=1)
        order = np.argsort(-best)
        return order[best[order] > self.least]

    def outputs(self, x: np.ndarray) -> np.ndarray:
        part = self.parts(x)[self.explained or 0]
        if self.layout != "ragged":
            return np.moveaxis(np.asarray(part), self.class_axis or 1, 1).astype(np.float32)
        most = max(map(len, part))
        return np.stack([np.pad(one, (0, most - len(one))) for one in part]).astype(np.float32)

    def capture(
        self,
        inputs: Any,
        layers: Sequence[str],
        direction: Any = None,
        parts: bool = False,
        rules: Sequence[str] = (),
    ) -> Capture:
        x = np.asarray(inputs, np.float64)
        outputs = self.outputs(x)
        given = self.parts(x) if parts else MappingProxyType({})
        gradients, of_input = {}, {}
        if direction is not None:
            d = direction(outputs, "logits", *([given] if parts else [])).astype(np.float64)
            pulled = self.net.pulled(x, self._of_logits(x, d))
            gradients = {name: pulled.astype(np.float32) for name in layers}
            active = pulled * (self.net.map(x) > 0)[:, None]
            of_input = {rule: [np.einsum("nkdhw,dc->nkchw", active, self.net.u).astype(np.float32)] for rule in rules}
        activations = {name: self.net.map(x).astype(np.float32) for name in layers}
        return Capture(outputs, "logits", activations, x.shape[2:], gradients, self.link, {}, of_input, given)

    def _of_logits(self, x: np.ndarray, d: np.ndarray) -> np.ndarray:
        """d score / d logits (N, K, Q, C) from d score / d outputs (N, K, *O)."""
        logits = self.net.logits(x)
        p = 1 / (1 + np.exp(-logits))
        slope = (p * (1 - p))[:, None]
        if self.layout == "queries":
            return np.moveaxis(d, 2, self.class_axis + 1) if self.class_axis == 2 else d
        if self.layout == "yolo":
            return d.swapaxes(2, 3)[..., 4:] * slope
        if self.layout == "turned":
            raw = np.moveaxis(d, 2, -1)
            return (raw[..., 5:] + np.pad(raw[..., 4:5], [(0, 0)] * 3 + [(0, raw.shape[-1] - 6)])) * slope
        found = np.zeros((*d.shape[:2], *logits.shape[1:]))
        for n, one in enumerate(p):
            for at, q in enumerate(self._kept(one)):
                found[n, :, q, one[q].argmax()] = d[n, :, at]
        return found * slope
