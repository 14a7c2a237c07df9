"""The options of `Explainer` that repeat a walk: smooth=, augment= and fuse=."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from xaicore.ensemble.changes import AUGMENTATIONS, Change
from xaicore.errors import InputError, did_you_mean
from xaicore.evidence import is_noise
from xaicore.maps import FUSIONS

__all__ = ["Ensemble"]

SIGMA = 0.15
"""The noise of smooth=n, as a fraction of a picture's range: SmoothGrad's authors advise 0.1 to 0.2."""

USUAL = ("hflip", "smaller", "larger")
"""What augment=True stands for: a picture that is upside down is another one."""


class Ensemble:
    """Which versions of the pictures are explained, and how the maps of several layers become one.

    Args:
        smooth, augment, fuse: as in `Explainer`.

    Raises:
        InputError: one is out of range.
    """

    def __init__(
        self,
        smooth: int | tuple[int, float] | None = None,
        augment: bool | str | Sequence[str] = False,
        fuse: str | None = "mean",
    ) -> None:
        if fuse is not None and fuse not in FUSIONS:
            raise InputError(f"fuse={fuse!r} is not known; expected one of {', '.join(map(repr, FUSIONS))}, or None")
        self.fuse = fuse
        self._copies, self._sigma = _read_smooth(smooth)
        self._names, self._all_must_fit = _read_augment(augment)

    @property
    def has_versions(self) -> bool:
        """Whether anything but the pictures as they are is explained."""
        return bool(self._copies or self._names)

    @property
    def moves_pictures(self) -> bool:
        """Whether some versions show the picture elsewhere: mirrored, smaller or larger."""
        return bool(self._names)

    def keeps_apart(self, layers: Sequence[str]) -> bool:
        """Whether the maps of these layers stay maps of their own."""
        return self.fuse is None and len(layers) > 1

    def changes(self, letters: str) -> list[Change]:
        """The versions to explain, of pictures whose axes of positions have these letters.

        Raises:
            InputError: an augmentation turns over an axis that the pictures lack.
        """
        found = [Change()]
        for name in self._names:
            change = AUGMENTATIONS[name]
            if change.flipped is None or change.flipped in letters:
                found.append(change)
            elif self._all_must_fit:
                raise InputError(
                    f"augment={name!r} turns over the axis {change.flipped!r}, which pictures with the axes "
                    f"{letters!r} lack"
                )
        if not self._copies:
            return found
        return [replace(one, copy=copy, sigma=self._sigma) for one in found for copy in range(self._copies)]


def _read_smooth(smooth: int | tuple[int, float] | None) -> tuple[int, float]:
    """The number of noisy copies, 0 for none, and their noise."""
    if smooth is None:
        return 0, 0.0
    n, sigma = smooth if isinstance(smooth, tuple) and len(smooth) == 2 else (smooth, SIGMA)
    if not is_noise(n, sigma):
        raise InputError(
            f"smooth={smooth!r}: expected a number of noisy copies, such as 16, or (copies, noise), the noise as a "
            f"fraction of the picture's range, such as (16, {SIGMA})"
        )
    return int(n), float(sigma)


def _read_augment(augment: bool | str | Sequence[str]) -> tuple[tuple[str, ...], bool]:
    """The names of the augmentations, and whether the caller named them."""
    if isinstance(augment, bool) or augment is None:
        return (USUAL if augment else ()), False
    names = (augment,) if isinstance(augment, str) else tuple(augment) if isinstance(augment, Sequence) else (augment,)
    for name in names:
        if name not in AUGMENTATIONS:
            raise InputError(
                f"augment={name!r} is not known; expected True, or some of "
                f"{', '.join(AUGMENTATIONS)}{did_you_mean(str(name), AUGMENTATIONS)}"
            )
    return tuple(dict.fromkeys(names)), True
