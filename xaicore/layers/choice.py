"""Which layer is explained when none is named, and what a name may be."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from xaicore.backend import Layer
from xaicore.errors import LayerError, type_name
from xaicore.facts import LayerFacts
from xaicore.layers.grid import Grid
from xaicore.layers.states import is_inside

__all__ = [
    "as_layers",
    "choose_layer",
    "choose_pooled",
    "default_layer",
    "is_pooling",
    "is_reached",
    "joined_states",
    "reached_maps",
]

PROJECTIONS = ("dense", "recurrent")
"""Kinds of layers that are explained by name only."""

POOLING = re.compile(r"Pool(ing)?(\d[dD])?$|^GeM")


def as_layers(layer: str | Sequence[str] | None) -> tuple[str, ...]:
    """The names of layers, without repetitions; empty where the layer is to be found.

    Raises:
        LayerError: `layer` is neither a name, nor names, nor None.
    """
    if layer is None:
        return ()
    names = (layer,) if isinstance(layer, str) or not isinstance(layer, Iterable) else tuple(layer)
    if not names or not all(isinstance(name, str) for name in names):
        raise LayerError(
            f"layer={_shown(layer)}: expected a layer's name as `xaicore layers` shows it, several names, or None to "
            "find one"
        )
    return tuple(dict.fromkeys(names))


def _shown(layer: object) -> str:
    """A wrong layer in a message; a whole network would fill the screen."""
    text = repr(layer)
    return text if len(text) <= 60 and "\n" not in text else f"<{type_name(layer)}>"


def is_pooling(layer: type) -> bool:
    """Whether a class of layers pools: it, or one of its bases, calls itself so."""
    return any(POOLING.search(base.__name__) for base in layer.__mro__)


def choose_layer(
    layers: Sequence[LayerFacts],
    grids: Mapping[str, Grid],
    pictures: Sequence[int],
    states: Mapping[str, int | None] | None = None,
) -> str:
    """The layer to explain when none is named: the last one whose positions lead to the output.

    It has a grid, was not pooled, reads one of these inputs, and the gradient of the output arrives at its positions:
    after a class token's last attention, it arrives at no patch. Dense layers over tokens are projections inside of
    blocks (queries, keys, an MLP), as are keys and values that the tokens of another sequence ask for; the block or its
    norm is taken instead. A step of a recurrent layer holds all steps
    before it; the map that it reads is taken instead. The map of a whole clip is taken only where none of its frames
    leads to the output.

    Args:
        layers: of one pass, in order of completion.
        grids: of those that are maps of a picture.
        pictures: the positions of the inputs that are pictures.
        states: the maps of a whole clip, as `Reading.states`.

    Raises:
        LayerError: there is none, or the output joins last states of different frames.
    """
    states = states or {}
    timed = {name: grid for name, grid in grids.items() if name not in states}
    found = _last_reached(layers, timed, pictures)
    if found is None and states:
        if None in states.values():
            raise joined_states(next(name for name, frame in states.items() if frame is None), states)
        found = _last_reached(layers, grids, pictures)
    if found is not None:
        return found
    named = next((repr(layer.name) for layer in reversed(layers) if layer.name in grids), "...")
    raise LayerError(f"no layer gives a map of the picture that leads to the output; {_last_shapes(layers, named)}")


def joined_states(name: str, states: Mapping[str, int | None]) -> LayerError:
    """The error to raise for a layer that joins last states of different frames."""
    single = [one for one, frame in states.items() if frame is not None and not any(is_inside(s, one) for s in states)]
    choice = " or ".join(f"layer={one!r}" for one in single) or "a layer before it"
    return LayerError(
        f"layer {name!r} joins last states that have read the clip in different directions: neither its last frame nor "
        f"its first is the picture under the map. Name one of them: {choice}"
    )


def reached_maps(
    layers: Sequence[LayerFacts], grids: Mapping[str, Grid], pictures: Sequence[int]
) -> Iterator[LayerFacts]:
    """The layers that `choose_layer` may take, the last one first. Arguments as there."""
    # A gradient that is zero at every map shows no way.
    if not any(layer.reached for layer in layers if layer.name in grids):
        layers = [replace(layer, reached=None) for layer in layers]
    for layer in reversed(layers):
        grid = grids.get(layer.name)
        if grid is None or layer.pooled or layer.kind in PROJECTIONS:
            continue
        if layer.reads is not None and not set(layer.reads) & set(pictures):
            continue
        if is_reached(layer, grid) and not _is_asked_for(layer, grid, grids, layers):
            yield layer


def _last_reached(layers: Sequence[LayerFacts], grids: Mapping[str, Grid], pictures: Sequence[int]) -> str | None:
    return next((layer.name for layer in reached_maps(layers, grids, pictures)), None)


def _is_asked_for(layer: LayerFacts, grid: Grid, grids: Mapping[str, Grid], layers: Sequence[LayerFacts]) -> bool:
    """Whether tokens are keys or values that others ask for: the layer around them gives tokens of another sequence.

    They are projections, also where the class of the layer does not say so.
    """
    if "l" not in grid.axes or not layer.is_leaf:
        return False
    around = [one for one in layers if is_inside(layer.name, one.name)]
    inner = max(around, key=lambda one: len(one.name), default=None)
    return inner is not None and inner.name not in grids and len(inner.shape) == 3 and inner.shape[1] != layer.shape[1]


def choose_pooled(
    layers: Sequence[LayerFacts],
    grids: Mapping[str, Grid],
    pictures: Sequence[int],
    states: Mapping[str, int | None] | None = None,
) -> str:
    """The layer that `cam_model` pools when none is named: that of `choose_layer`, if it leads to no tokens.

    Raises:
        LayerError: there is none, or tokens lead to the output: their mean has no head that CAM explains.
    """
    name = choose_layer(layers, grids, pictures, states)
    at = [layer.name for layer in layers].index(name)
    tokens = [
        layer
        for layer in layers[at:]
        if "l" in getattr(grids.get(layer.name), "axes", "") and (layer.reached is None or layer.reached)
    ]
    if tokens:
        raise LayerError(
            f"tokens lead to the output, {tokens[-1].name!r} {tokens[-1].shape}, and cam_model pools maps: explain the "
            "model itself with method='gradcam', or name a map to pool: layer=..."
        )
    return name


def is_reached(layer: LayerFacts, grid: Grid) -> bool:
    """Whether the output's gradient arrives at positions of the picture; unknown counts as yes for maps alone."""
    positions = [axis for axis, letter in enumerate(grid.axes) if letter not in "nrc"]
    if layer.reached is None or (layer.reached and not {*positions} <= layer.reached.keys()):
        return "l" not in grid.axes
    return bool(layer.reached) and all(any(list(layer.reached[axis])[grid.tokens]) for axis in positions)


def _last_shapes(layers: Sequence[LayerFacts] | Sequence[Layer], named: str = "...") -> str:
    shapes = ", ".join(f"{layer.name} {layer.shape}" for layer in layers[-5:])
    if not shapes:
        return "the model has no layers inside of it"
    if all(len(layer.shape) < 3 for layer in layers):
        return f"none has positions, of which a map could be made. The last ones: {shapes}"
    return f"the last ones: {shapes}. Name one: layer={named}"


def default_layer(layers: Sequence[Layer]) -> str:
    """The layer to explain when none is named, where a backend reports no facts: the last spatial one not pooled.

    Raises:
        LayerError: there is none, or tokens follow it: then the last map is the patch embedding, and a heatmap of
            that says nothing about the prediction.
    """
    at = max((i for i, layer in enumerate(layers) if layer.spatial and not layer.pooled), default=None)
    if at is None:
        raise LayerError(f"no layer gives a map of the picture; {_last_shapes(layers)}")
    last_map, axes = layers[at], len(layers[at].shape)
    tokens = [layer for layer in layers[at + 1 :] if _is_tokens(layer.shape, axes)]
    if tokens:
        raise LayerError(
            f"tokens or a sequence follow the last map {last_map.name!r} {last_map.shape}, as in an attention model: "
            f"{tokens[-1].name!r} {tokens[-1].shape}. Name the layer to explain: layer=..."
        )
    return last_map.name


def _is_tokens(shape: tuple[int, ...], axes_of_a_map: int) -> bool:
    """(N, tokens, features) in a model of pictures or volumes; a 1-D signal's maps look the same."""
    return len(shape) == 3 < axes_of_a_map and shape[1] > 1 and shape[2] > 1
