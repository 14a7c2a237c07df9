"""Reading one picture: from a file, from an image of Pillow, or from an array. All become the same pixels.

The pixels are uint8 RGB (H, W, 3): upright by the EXIF tag, without transparency, 16 bits cut to their upper 8, grey
in three channels. That is how OpenCV reads files, and images of Pillow follow it.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard

import numpy as np

from xaicore.errors import InputError
from xaicore.opencv import cv2
from xaicore.pictures.jpeg import is_cut_jpeg

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["PictureError", "is_pil", "read_array", "read_picture", "read_pil"]


class PictureError(InputError):
    """One picture cannot be read or prepared."""


def read_picture(path: Path) -> np.ndarray:
    """The pixels of a file.

    Raises:
        PictureError: the file cannot be read, or is no picture.
    """
    try:
        data = np.fromfile(path, np.uint8)  # cv2.imread fails on non-ASCII paths on some systems
    except OSError as exc:
        raise PictureError(f"{path} cannot be read: {exc.strerror or exc}") from exc
    if not data.size:
        raise PictureError(f"{path} is an empty file")
    try:
        picture = cv2.imdecode(data, cv2.IMREAD_COLOR)
    except cv2.error as exc:
        raise PictureError(f"{path} cannot be decoded: {exc.err}") from exc
    if picture is None or is_cut_jpeg(data.tobytes()):
        raise PictureError(f"{path} is no picture that OpenCV {cv2.__version__} can decode, or only a part of one")
    return to_rgb(picture)


def to_rgb(picture: np.ndarray) -> np.ndarray:
    """The RGB pixels of OpenCV's BGR ones."""
    rgb: np.ndarray = cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)
    return rgb


def is_pil(value: Any) -> TypeGuard[Image]:
    """Whether this is an image of Pillow, which is not imported for it."""
    pillow = sys.modules.get("PIL.Image")
    return pillow is not None and isinstance(value, pillow.Image)


def read_pil(image: Image, name: str) -> np.ndarray:
    """The pixels of an image of Pillow in any mode that says what its values mean; the image stays as it is.

    Raises:
        PictureError: its file is broken, or the mode does not say which value is white.
    """
    from PIL import ImageOps  # it is imported already: the image is Pillow's

    try:
        upright = ImageOps.exif_transpose(image)
        if upright.mode.startswith("I;16"):
            return _grey(np.asarray(upright).astype(np.uint16) >> 8)
        if upright.mode in ("I", "F"):
            raise PictureError(
                f"{name} has the mode {upright.mode!r}, which does not say which value is white: expected RGB, L, "
                "I;16 or another mode of pixels. Scale it to 0 ... 255 as an array, and pass array.astype('uint8')"
            )
        return np.array(upright.convert("RGB"))
    except (OSError, ValueError, SyntaxError) as exc:  # Pillow's decoders raise all of these
        if isinstance(exc, PictureError):
            raise
        raise PictureError(f"{name} cannot be decoded: {exc}") from exc


def read_array(array: np.ndarray, name: str) -> np.ndarray:
    """The pixels of a uint8 array (H, W, 3), or of a grey one, (H, W) or (H, W, 1): a contiguous copy, as of a file.

    Raises:
        PictureError: it has another shape.
    """
    is_grey = array.ndim == 2 or (array.ndim == 3 and array.shape[-1] == 1 and array.shape[0] != 1)
    if is_grey and array.size:
        return _grey(array.reshape(array.shape[:2]))
    if array.ndim == 3 and array.shape[-1] == 3 and array.size:
        return np.array(array, order="C")
    remedy = "a model's own input is an array of floats, or a tensor"
    if array.ndim == 3 and array.shape[0] in (1, 3):
        remedy = f"its channels come first, so pass {name}.transpose(1, 2, 0)"
    elif array.ndim == 3 and array.shape[-1] == 4:
        remedy = f"without its transparency it is {name}[..., :3]"
    raise PictureError(
        f"{name} is a uint8 array of shape {array.shape}: expected a picture with the channels last, (H, W, 3) RGB; "
        f"{remedy}"
    )


def _grey(values: np.ndarray) -> np.ndarray:
    return np.repeat(values.astype(np.uint8)[..., None], 3, axis=-1)
