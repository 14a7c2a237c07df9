"""What a data set says that an explainer would else be told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from xaicore.errors import InputError
from xaicore.source.inputs import Inputs
from xaicore.source.listing import Listing
from xaicore.source.reading import as_is

__all__ = ["check_stream", "settings_of"]


def check_stream(listing: Listing, asked: str | None) -> None:
    """Refuse several processes for what is read forward.

    Args:
        listing: the pictures.
        asked: the argument that asks for processes; None: there is one.

    Raises:
        InputError: each of them would read all of it.
    """
    if listing.is_stream and asked is not None:
        raise InputError(
            f"{asked}: source ({type(listing.origin).__name__}) is read forward, by one process: leave "
            f"{asked.partition('=')[0]} out, or pass a data set with positions, source[n] and len(source)"
        )


def settings_of(listing: Listing, class_names: Sequence[str] | None, preprocess: Any) -> Mapping[str, Any]:
    """Options of `Explainer` that follow from the data set.

    Args:
        listing: of the data set.
        class_names: of the model.
        preprocess: the caller's, not the model's own.

    Raises:
        InputError: the caller prepares what is the model's own input.
    """
    found: dict[str, Any] = {}
    if listing.is_input:
        if preprocess is not None:
            x = listing[0].read().picture
            shown = x if isinstance(x, Inputs) else f"{x.dtype} {x.shape}"
            raise InputError(
                f"source[0] is {shown}, the model's own input, and preprocess is for pictures: leave "
                "preprocess out, or have the data set return pictures, images of Pillow or uint8 (H, W, 3)"
            )
        found["preprocess"] = as_is
    if class_names is None and listing.class_names is not None:
        found["class_names"] = listing.class_names
    return found
