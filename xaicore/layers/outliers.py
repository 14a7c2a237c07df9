"""Outlier tokens: patches of the background that a transformer uses as memory.

Their norm is many times that of the others, and they hold what the model knows of the whole picture; of their own patch
they say little (Darcet et al. 2024, "Vision transformers need registers"). A map is bright there for no visible reason.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from xaicore.errors import InputError, LayerError
from xaicore.facts import Facts, LayerFacts
from xaicore.layers.place import Place
from xaicore.layers.runs import split_run

__all__ = ["OUTLIERS", "check_outliers", "find_outliers", "token_streams"]

OUTLIERS = ("mask",)

FACTOR = 3.0
"""An outlier's norm exceeds the median of its image this many times. Darcet et al. see factors of about ten."""


def check_outliers(outliers: str | None) -> str | None:
    """Refuse an unknown option, and return any other.

    Raises:
        InputError: it is neither "mask" nor None.
    """
    if outliers is not None and outliers not in OUTLIERS:
        raise InputError(f"outliers={outliers!r}: expected 'mask', which leaves outlier tokens out, or None")
    return outliers


def token_streams(facts: Facts, place: Place, layer_name: Callable[[str], str]) -> dict[str, str]:
    """{layer: the layer whose norms tell the outliers among its tokens}: itself, or what its norm takes.

    A norm gives all tokens a similar length, so that its own output does not tell.

    Args:
        facts, place: of the pass.
        layer_name: turns a name of the caller's into one of the facts.

    Raises:
        LayerError: a layer has no tokens, or nothing shows what a norm takes.
    """
    of_name = facts.named
    streams = {}
    for name in place.runs:
        known = of_name.get(name) or of_name.get(layer_name(split_run(name)[0]))
        if known is None:
            continue  # it never ran: the backend says so
        is_by_run = place.runs[name] != (name,) or split_run(name)[1] is not None
        if is_by_run or "l" not in place.grids[name].axes:
            what = f"explained by run, {', '.join(place.runs[name])}" if is_by_run else f"{known.shape}, no tokens"
            raise LayerError(
                f"outliers='mask' leaves out tokens of a layer, and {name!r} is {what}: pass outliers=None, or name a "
                "transformer's layer"
            )
        streams[name] = _stream(known, of_name)
    return streams


def _stream(explained: LayerFacts, of_name: Mapping[str, LayerFacts]) -> str:
    """The layer behind norms, and behind layers that may be norms, since nothing says what they are."""
    layer = explained
    while layer.is_leaf and layer.kind in ("norm", None):
        taken = [of_name[name] for name in layer.takes if isinstance(name, str) and name in of_name]
        sources = [one for one in taken if one.shape == layer.shape]
        if sources:
            layer = sources[0]
        elif layer is explained or layer.kind == "norm":
            raise LayerError(
                f"outliers='mask' compares the norms of tokens before {explained.name!r}, which may make them alike, "
                "and no layer returns what it takes: name a block as the layer, or pass outliers=None"
            )
        else:
            break
    return layer.name


def find_outliers(tokens: np.ndarray) -> np.ndarray:
    """Which positions of tokens (N, C, *size) hold an outlier, (N, *size) bool."""
    norms = np.linalg.norm(tokens.astype(np.float64, copy=False), axis=1)
    usual = np.median(norms.reshape(len(norms), -1), axis=1)
    return norms > FACTOR * usual.reshape(-1, *[1] * (norms.ndim - 1))
