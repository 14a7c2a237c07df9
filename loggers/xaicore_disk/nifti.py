"""Maps of volumes as NIfTI files, which viewers of medical images lay over the volume."""

from __future__ import annotations

import gzip
import importlib
from collections.abc import Mapping
from typing import Any

import numpy as np

import xaicore

__all__ = ["Spacing", "affine_of", "check_spacing", "nifti", "require_nibabel"]

Spacing = Any
"""Three distances, a (4, 4) affine, or {id: one of them}; None for no NIfTI files."""


def check_spacing(spacing: Spacing) -> Spacing:
    """The spacing as plain nested tuples.

    Raises:
        InputError: it has another shape, or distances that are not positive.
    """
    if spacing is None:
        return None
    several = isinstance(spacing, Mapping)
    checked = {key: _checked(one) for key, one in (spacing.items() if several else [("", spacing)])}
    return checked if several else checked[""]


def affine_of(spacing: Spacing, name: str) -> np.ndarray | None:
    """The affine (4, 4) of the volume with this id: voxel indices to millimetres. None where it is not given."""
    given = spacing.get(name) if isinstance(spacing, Mapping) else spacing
    if given is None:
        return None
    array = np.array(given, np.float64)
    return array if array.ndim == 2 else np.diag([*array, 1.0])


def nifti(values: np.ndarray, affine: np.ndarray) -> bytes:
    """A map (D, H, W) at the volume's resolution as the bytes of a .nii.gz file."""
    data = require_nibabel().Nifti1Image(values.astype(np.float32), affine).to_bytes()
    return gzip.compress(data, mtime=0)  # the same map has the same bytes


def _checked(spacing: Any) -> tuple[Any, ...]:
    try:
        array = np.asarray(spacing, np.float64)
    except (TypeError, ValueError):
        array = np.empty(0)
    is_affine = array.shape == (4, 4) and np.isfinite(array).all() and np.linalg.det(array) != 0
    if not is_affine and not (array.shape == (3,) and np.isfinite(array).all() and (array > 0).all()):
        raise xaicore.InputError(
            f"spacing={spacing!r}: expected three positive distances in millimetres, along the axes of the model's "
            "input, such as (2.5, 0.8, 0.8); or the (4, 4) affine of the input; or {id: one of these}"
        )
    return tuple(map(tuple, array.tolist())) if is_affine else tuple(array.tolist())


def require_nibabel() -> Any:
    """The module.

    Raises:
        DependencyError: it is not installed.
    """
    try:
        return importlib.import_module("nibabel")
    except ImportError as exc:
        raise xaicore.DependencyError(
            'spacing= writes NIfTI files, which needs nibabel: pip install "xaicore[nifti]"; without spacing=, the '
            "maps of volumes are .npy files"
        ) from exc
